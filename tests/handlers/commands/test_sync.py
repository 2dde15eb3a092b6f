"""What may stand behind `sync cloudmonitor` and `sync das`."""

from __future__ import annotations

import pytest

from handlers.commands import FORMS
from handlers.commands.parser import parse
from handlers.commands.sync import options


@pytest.mark.parametrize(
    ("said", "preview", "trust", "more"),
    [
        ("sync cloudmonitor", False, False, ""),
        ("SYNC CloudMonitor Preview", True, False, ""),
        ("sync cloudmonitor trust, preview", True, True, ""),
        ("同步云监控预览", True, False, ""),
        ("同步云监控 信任", False, True, ""),
        ("同步雲監控 預覽信任", True, True, ""),
        ("sync cloudmonitor trustworthy", False, False, "trustworthy"),
        ("sync das rm-uf6example000001 preview", True, False, "rm-uf6example000001"),
        ("同步DAS rm-uf6example000001 预览", True, False, "rm-uf6example000001"),
        ("sync das preview-1", False, False, "preview-1"),
    ],
)
def test_options_are_found_in_any_order_and_language(said: str, preview: bool, trust: bool, more: str) -> None:
    assert options(parse(said, FORMS).rest) == (preview, trust, more)
