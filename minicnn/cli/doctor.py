"""The command doctor: what this machine and this installation offer."""
from .common import add_command


def add_doctor(commands):
    add_command(commands, "doctor", run_doctor, "what this machine and this installation offer",
                "Versions, the linear algebra library and its threads, whether a GPU is used and why not, the\n"
                "networks that ship with minicnn, and how fast matrices are multiplied: send it along with a question.",
                ["minicnn doctor"])


def run_doctor(args):
    from .. import doctor                        # late: nobody else needs it
    for topic, finding in doctor.findings():
        print(f"{topic:<16}  {finding}", flush=True)
    return 0
