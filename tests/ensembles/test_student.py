"""A student answers as its teacher does, also on unseen rows."""

import pytest
import torch

from hubtl.ensembles.student import Student, linear_student
from hubtl.modules import Encoder
from hubtl.tasks.classification import Classification
from hubtl.tasks.multilabel import MultiLabel
from hubtl.tasks.regression import Regression
from tests import tiny


def rows(n, seed):
    return 3 + 5 * torch.randn(n, 12, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    "task", [Classification(["a", "b", "c"]), MultiLabel(["a", "b", "c"]), Regression(["x", "y", "z"])]
)
def test_a_linear_student_of_a_linear_teacher_is_that_teacher(task):
    torch.manual_seed(0)
    teacher = torch.nn.Linear(12, 3)
    with torch.no_grad():
        made = linear_student(task, rows(400, 1), teacher(rows(400, 1)))
        asked = rows(200, 2)
        wanted, found = teacher(asked), made(asked)
    if task.kind == "regression":
        assert float((wanted - found).abs().mean()) < 0.05 * float(wanted.std())
    elif task.kind == "classification":
        assert (wanted.argmax(1) == found.argmax(1)).float().mean() > 0.97
    else:
        assert ((wanted > 0) == (found > 0)).float().mean() > 0.97


def test_a_student_learns_the_teacher_and_not_the_source_alone():
    """The teacher knows the turned target; the source's labels alone would leave the student at source-only."""
    source, target = tiny.domains(degrees=70.0)
    torch.manual_seed(0)
    encoder = Encoder(tiny.Flat())
    task = Classification(["a", "b"])
    labels = torch.from_numpy(target.labels)
    teacher = 4.0 * torch.nn.functional.one_hot(labels, 2).float()
    student = Student(encoder, task.head(encoder.width), task, teacher)
    student.setting = "adaptation"
    before = tiny.accuracy(student, target)
    tiny.train(student, {"source": source, "target": tiny.sealed(target)}, steps=150)
    assert tiny.accuracy(student, target) > 0.95 > before + 0.1
