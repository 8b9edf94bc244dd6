"""Launchers give a number of processes, or one error."""

import pytest

from hubtl import launch
from hubtl.errors import HubtlError

MPI = {"OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_RANK": "3", "OMPI_COMM_WORLD_LOCAL_RANK": "1"}


@pytest.mark.parametrize(
    ("environ", "size", "rank"),
    [
        ({}, 1, 0),
        ({"WORLD_SIZE": "1"}, 1, 0),
        ({"LOCAL_RANK": "0"}, 1, 0),
        ({"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1"}, 2, 1),
        ({"WORLD_SIZE": "2", "RANK": "1"}, 2, 1),  # one process on each machine
        ({**MPI, "OMPI_COMM_WORLD_LOCAL_SIZE": "4"}, 4, 3),
        ({"PMI_SIZE": "2", "PMI_RANK": "1"}, 2, 1),
        ({"MV2_COMM_WORLD_SIZE": "3", "MV2_COMM_WORLD_RANK": "2"}, 3, 2),
        ({"PMI_SIZE": "2", "PMI_RANK": "1", "WORLD_SIZE": "4", "RANK": "2"}, 4, 2),  # torchrun under mpirun
        ({"SLURM_NTASKS": "8", "SLURM_PROCID": "0"}, 1, 0),  # a batch script is one process
        ({"SLURM_STEP_NUM_TASKS": "1", "SLURM_NTASKS": "8", "SLURM_STEP_ID": "0"}, 1, 0),
        ({"SLURM_STEP_NUM_TASKS": "2", "WORLD_SIZE": "4", "RANK": "2"}, 4, 2),  # torchrun under srun
    ],
)
def test_so_many_processes_as_the_launcher_started(environ, size, rank):
    assert launch.adopt(environ) == size
    assert launch.rank(environ) == rank
    if size > 1:
        assert (environ["WORLD_SIZE"], environ["RANK"]) == (str(size), str(rank))
        assert environ["LOCAL_RANK"].isdecimal()


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"WORLD_SIZE": "2"}, "no RANK"),
        ({"WORLD_SIZE": "2", "RANK": "2"}, "RANK is 2"),
        ({"WORLD_SIZE": "two", "RANK": "0"}, "not a number"),
        ({"SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "0"}, "srun started 2"),
        ({"SLURM_NTASKS": "2", "SLURM_STEP_ID": "0"}, "srun started 2"),
        ({"SLURM_NTASKS": "2", "SLURM_PROCID": "1"}, "srun started 2"),
        ({**MPI, "OMPI_COMM_WORLD_LOCAL_SIZE": "2"}, "no MASTER_ADDR"),
    ],
)
def test_processes_that_cannot_find_each_other_are_refused(environ, said):
    with pytest.raises(HubtlError, match=said) as caught:
        launch.adopt(environ)
    assert caught.value.hint


def test_a_command_of_one_process_refuses_several(monkeypatch, capsys):
    from hubtl.cli import app

    for name, value in {"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.argv", ["hubtl", "tune", "recipe.yaml"])
    with pytest.raises(SystemExit) as end:
        app.run()
    assert end.value.code == 2
    assert "hubtl tune runs in one process, and 2 were started" in capsys.readouterr().err
