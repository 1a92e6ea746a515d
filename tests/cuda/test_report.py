"""The report's arithmetic: occupancy by hand, and loops in a small piece of machine code."""
import pytest
import report
import sass
from occupancy import LIMITS, blocks_at_once, occupancy


@pytest.mark.parametrize("architecture, registers, shared, threads, share, limit", [
    ("80", 32, 0, 256, 1, "warps"),              # 8 blocks of 8 warps
    ("80", 33, 0, 256, .75, "registers"),        # 40 registers a thread in effect: 51 warps, in fours 48: 6 blocks
    ("90", 128, 32768, 256, .25, "registers"),   # 16 warps
    ("75", 32, 20480, 64, 6 / 32, "shared memory"),
    ("80", 16, 40960, 64, 8 / 64, "shared memory"),                      # 4 of 164 KB: each block takes 41 KB
    ("86", 16, 0, 32, 16 / 48, "blocks"),
    ("89", 16, 0, 32, .5, "blocks"),
    ("86", 255, 0, 1024, 0, "registers")])       # does not fit
def test_occupancy_by_hand(architecture, registers, shared, threads, share, limit):
    assert occupancy(architecture, registers, shared, threads) == (share, limit)


def test_every_architecture_has_limits():
    assert LIMITS.keys() == report.nvrtc.ARCHITECTURES.keys()
    assert all(blocks_at_once(name, 32, 0, 64)["blocks"] >= 16 for name in LIMITS)


CODE = """
code for sm_80
		Function : k
        /*0000*/                   MOV R1, c[0x0][0x28] ;                          /* 0x00000a0000017a02 */
        /*0010*/                   LDG.E R4, [R28.64+0x20] ;                       /* 0x0000202c1c047981 */
        /*0020*/                   FFMA R0, R1, R2, R3 ;
        /*0030*/              @!P0 FFMA R0, R1, R2, R3 ;
        /*0040*/                   LDS.128 R8, [R2] ;
        /*0050*/               @P0 BRA 0x20 ;
        /*0060*/                   FFMA R0, R1, R2, R3 ;
        /*0070*/               @P1 BRA P2, 0x10 ;
        /*0080*/                   BRA 0x80 ;
		Function : straight
        /*0000*/                   EXIT ;
"""


def test_the_hot_loop():
    code = sass.parsed(CODE)
    loop = sass.hot_loop(code["k"])
    assert (loop[0].address, loop[-1].address) == (0x10, 0x70)           # three multiply-adds, the inner one has two
    assert sass.mix(loop) == {"FFMA": 3, "shared": 1, "global": 1, "index and control": 2}
    assert sass.hot_loop(code["straight"]) == []


def test_a_row():
    resources = report.nvrtc.Resources(128, 1024, 8, 0, 256)
    assert report.row("k", "80", resources, sass.parsed(CODE)["k"]) == \
        "| `k` | 128 | 8 | 1024 | 256 | 25% (registers) | 7 | 43% | 14% | - |"


def test_the_page_keeps_the_rest():
    page = f"above\n{report.BEGIN}\nold\n{report.END}\nbelow\n"
    assert report.inserted(page, "new") == f"above\n{report.BEGIN}\nnew\n{report.END}\nbelow\n"
    with pytest.raises(ValueError, match="no lines"):
        report.inserted("above\n", "new")
