"""Files that ``numalab init`` writes: they load, and something happens in them."""

import pytest

from numalab import templates
from numalab.fields import InputError
from numalab.interactive import replace, simulate
from numalab.workload_file import parse


@pytest.mark.parametrize("template", templates.NAMES)
def test_a_template_simulates_and_is_scanned(template):
    text = templates.text("mine", template)
    assert text.count("#") > 5
    w = parse(text)
    assert w.name == "mine"
    run = simulate(replace(w, duration_ms=5000)).isel(replicate=0)
    assert int(run["numa_pte_updates"].isel(time=-1)) > 0


def test_names_that_cannot_be_are_one_line(tmp_path):
    with pytest.raises(InputError, match="unknown template 'gust'; did you mean 'guest'"):
        templates.begin("x", "gust", tmp_path)
    with pytest.raises(InputError, match="must be 1 to 24 letters"):
        templates.begin("../x", "guest", tmp_path)
    templates.begin("x.toml", "guest", tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["x.toml"]
    with pytest.raises(InputError, match=r"x\.toml: exists"):
        templates.begin("x", "gpu", tmp_path)
