"""Build the page: inputs on the left, answers of both models on the right, relevance below."""

import html
from typing import Any

import gradio as gr

from hubtl.demo import drawing, rowshown
from hubtl.demo.answers import Answers, Said
from hubtl.errors import HubtlError
from hubtl.io import shown
from hubtl.plugins import modalities

KEPT = 3600  # seconds that an upload stays on the server
SOURCE_ONLY = "Source-only"
CSS = """
.dark .on-light, :root:not(.dark) body:not(.dark) .on-dark { display: none !important; }
.hubtl-problem { border-left: 4px solid #d1453b; padding: 0.6em 1em; background: var(--background-fill-secondary); }
.hubtl-answers { max-height: 36em; overflow-y: auto !important; }
.hubtl-note { opacity: 0.75; }
.html-container { padding: 0 !important; }  /* as wide as what stands below it */
"""
CSS += drawing.CSS


def page(answers: Answers) -> gr.Blocks:
    """Build the page of one model; nothing in it comes from elsewhere."""
    both, group = answers.before is not None, answers.model.task.Figures.group
    predicted_one = f"the predicted {group}"
    blocks = gr.Blocks(analytics_enabled=False, title=f"{answers.name}, hubtl", delete_cache=(KEPT, KEPT))
    with blocks:
        gr.HTML(_heading(answers))
        with gr.Row():
            with gr.Column():
                cells = [_input(modality) for modality in answers.modalities]
                with gr.Row():
                    predict = gr.Button("Predict", variant="primary")
                    explain = gr.Button("Explain", visible=answers.explains)
                of = gr.Dropdown(
                    [predicted_one, *answers.model.names],
                    value=predicted_one,
                    label=f"{group.capitalize()} to explain",
                    visible=answers.explains,
                )
            with gr.Column():
                problem = gr.HTML(visible=False)
                with gr.Row():
                    before = _answer(answers, SOURCE_ONLY, visible=both)
                    after = _answer(answers, _called(answers))
                for note in (answers.note, answers.unexplained):
                    gr.HTML(f'<p class="hubtl-note">{html.escape(note)}</p>', visible=bool(note))
        light = _output("on-light")
        dark = _output("on-dark")

        everything = [problem, before, after, light, dark]
        hidden = gr.Image(value=None, visible=False)

        def written(said: Said | None, says: Said | None) -> list[Any]:
            """Return the content of the two places."""
            return [_written(said, SOURCE_ONLY), _written(says, _called(answers))] if not answers.bars else [said, says]

        def predicted(*values: str | None) -> list[Any]:
            try:
                said, says = answers.predict(dict(zip(answers.modalities, values, strict=True)))
            except HubtlError as error:
                return [_problem(error), *written(None, None), hidden, hidden]
            return [gr.HTML(visible=False), *written(said, says), hidden, hidden]

        def explained(label: str, *values: str | None) -> list[Any]:
            asked = None if label == predicted_one else label
            said, says = None, None
            try:
                cells = dict(zip(answers.modalities, values, strict=True))
                said, says = answers.predict(cells)  # of these inputs, whatever was predicted before
                pictures = answers.relevance(cells, asked)
            except HubtlError as error:
                return [_problem(error), *written(said, says), hidden, hidden]
            shown = [gr.Image(value=picture, visible=True) for picture in (pictures[0], pictures[-1])]
            return [gr.HTML(visible=False), *written(said, says), *shown]

        # one at a time: the models share the machine
        predict.click(predicted, cells, everything, api_name="predict", concurrency_id="model")
        explain.click(explained, [of, *cells], everything, api_name="explain", concurrency_id="model")
    return blocks


def serve(answers: Answers, *, host: str | None, port: int | None, browser: bool, share: bool) -> None:
    """Serve the page of a model until Ctrl+C."""
    up(page(answers), host=host, port=port, browser=browser, share=share)


def up(blocks: gr.Blocks, *, host: str | None, port: int | None, browser: bool, share: bool) -> None:
    """Serve a page until Ctrl+C, and print its address.

    Raises:
        HubtlError: for an address that is not available.
    """
    address = launched(blocks, host=host, port=port, browser=browser, share=share)
    print(f"{address}  (Ctrl+C stops it)", flush=True)
    blocks.block_thread()


def launched(
    blocks: gr.Blocks, *, host: str | None = None, port: int | None = None, browser: bool = False, share: bool = False
) -> str:
    """Serve a page in the background, and return its address.

    Raises:
        HubtlError: for an address that is not available.
    """
    try:
        _, local, public = blocks.launch(
            server_name=host,
            server_port=port,
            inbrowser=browser,
            share=share,
            prevent_thread_lock=True,
            quiet=True,
            ssr_mode=False,
            enable_monitoring=False,
            mcp_server=False,
            footer_links=["gradio", "settings"],
            theme=gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]),
            css=CSS + rowshown.CSS,
        )
    except (OSError, ValueError) as error:
        raise HubtlError(f"the demo cannot be served: {error}", hint="another --host or --port") from error
    return str(public or local)


def _heading(answers: Answers) -> str:
    how = f", {answers.strategy}" if answers.strategy else ""
    base = answers.model.info.base_model or answers.model.info.architecture
    about = f"{base}{how}, {answers.model.task.about()}. Inputs: {', '.join(answers.modalities)}"
    optional = "; those that are missing stay empty." if len(answers.modalities) > 1 else "."
    return f'<h1>{html.escape(shown.line(answers.name))}</h1><p class="hubtl-note">{html.escape(shown.line(about + optional))}</p>'


def _answer(answers: Answers, title: str, *, visible: bool = True) -> Any:
    """Return the component of an answer: a label with probabilities, or words."""
    if answers.bars:
        return gr.Label(label=title, visible=visible, elem_classes="hubtl-answers")
    return gr.HTML(_written(None, title), visible=visible, elem_classes="hubtl-answers", padding=False)


def _written(said: Said | None, title: str) -> str:
    return drawing.answer(title, None if isinstance(said, dict) else said)


def _called(answers: Answers) -> str:
    if answers.before is None or answers.strategy is None:
        return "Prediction"
    return f"Adapted with {answers.strategy}"


def _input(modality: str) -> Any:
    return modalities.of(modality).widget(gr, modality.capitalize())


def _output(theme: str) -> gr.Image:
    return gr.Image(
        label="Relevance",
        show_label=False,
        format="png",
        interactive=False,
        visible=False,
        elem_classes=["hubtl-relevance", theme],
        buttons=["download", "fullscreen"],  # none that shares: it would ask the Hub
    )


def _problem(error: HubtlError) -> gr.HTML:
    return gr.HTML(f'<div class="hubtl-problem" role="alert">{html.escape(shown.line(error))}</div>', visible=True)
