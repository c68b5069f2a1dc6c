"""Which model a config names, told without loading it: what a manifest needs to pin it."""

from __future__ import annotations

from aotd.errors import UserError
from aotd.llm import EngineName, LLMConfig
from aotd.llm.local import find
from aotd.models.checkpoints import check_hub, first_line
from aotd.store.files import file_digest


def identity(config: LLMConfig) -> str:
    """The model's name, with a digest of its weights (a folder, a GGUF file) or its revision (a hub id).

    A server tells nothing but the name that it is asked for; where the server stands is not told. For `replay` it
    is the name in the record.

    Raises:
        UserError: no engine or no model is set, or it is not there.
    """
    if config.engine is EngineName.replay:
        from aotd.llm.replay import RecordedEngine

        return RecordedEngine(None, config, config.choice).model
    if config.engine is EngineName.none or not config.model:
        raise UserError(
            f"{config.choice} with {config.setting}.model={config.model!r} names no language model: set both"
        )
    if config.engine is EngineName.openai:
        return config.model
    path = find(config.model, config.setting)
    if path is None:
        return f"{config.model} ({_revision(config)[:12]})"
    if path.is_file():
        return f"{path.name} ({file_digest(path)[:12]})"
    from aotd.models.checkpoints import folder_name

    return folder_name(path)


def _revision(config: LLMConfig) -> str:
    """The commit of a hub id, as it is at the hub, or in the cache where the hub cannot be reached."""
    from transformers.utils.hub import cached_file, extract_commit_hash

    check_hub()
    try:
        path = cached_file(config.model, "config.json")
    except (OSError, ValueError) as error:
        raise UserError(f"{config.setting}.model: {config.model} cannot be found ({first_line(error)})") from None
    revision = extract_commit_hash(path, None)
    assert revision is not None, f"{path} is no file of the hub's cache"
    return revision
