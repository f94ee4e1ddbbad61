"""What docs/howto/operate.md says of backups, restored folders and another ledger."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.acceptance.shop import AS_OF, everfit
from tests.acceptance.test_walk import ROW, post, service


@pytest.mark.slow
def test_a_backup_of_a_running_service_is_a_project_wherever_it_is_put(
    own: Path, tmp_path: Path, repository: Path
) -> None:
    copy = tmp_path / "restored"
    with service(own) as url:
        assert post(f"{url}/predict/late", {"inputs": ROW, "id": "order-1"})[0] == 200
        assert post(f"{url}/outcomes/late", {"id": "order-1", "value": True})[0] == 200
        script = repository / "docs" / "snippets" / "backup.py"
        subprocess.run([sys.executable, str(script), str(own), str(copy)], check=True)
    for path in own.iterdir():
        if path.is_file():
            shutil.copy(path, copy)
    shutil.rmtree(own)
    explained = everfit(copy, "explain", "order-1", "--json")
    assert explained.code == 0, explained.err
    assert everfit(copy, "doctor").code == 0
    # The gates' report lies with the restored project, not where the project was.
    code = copy / "shop.py"
    code.write_text(code.read_text() + "\n\nlate.ship_when(ef.MaxLatency(p99_ms=0.000001))\n")
    assert everfit(copy, "train", *AS_OF).code == 1
    shown = everfit(copy, "orders", "show", "2", "--json")
    assert shown.code == 0, shown.err
    assert "max_latency" in shown.out
    assert not own.exists()


@pytest.mark.slow
def test_the_ledger_can_be_copied_into_another_database(own: Path, repository: Path) -> None:
    before = everfit(own, "orders", "list", "--json").json
    history = everfit(own, "models", "--history", "--json").json
    url = f"sqlite:///{own / 'other.db'}"
    assert everfit(own, "status", EVERFIT_STORES_LEDGER=url).code == 0
    script = repository / "docs" / "snippets" / "copy_ledger.py"
    subprocess.run([sys.executable, str(script), f"sqlite:///{own / '.everfit' / 'ledger.db'}", url], check=True)
    assert everfit(own, "orders", "list", "--json", EVERFIT_STORES_LEDGER=url).json == before
    assert everfit(own, "models", "--history", "--json", EVERFIT_STORES_LEDGER=url).json == history
    assert before
    assert history
