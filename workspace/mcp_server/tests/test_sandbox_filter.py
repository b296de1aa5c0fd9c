"""The seccomp program, run by an interpreter of its own, and the Landlock structures."""

from __future__ import annotations

import errno
import os
import signal
import struct

import pytest

from mcp_server.sandbox import bpf, landlock
from mcp_server.sandbox.seccomp import program_for
from mcp_server.sandbox.system_calls import ARCHITECTURES

PID = 4711
ALLOWED = "allowed"
KILLED = "killed"

# From asm/unistd_64.h and asm-generic/unistd.h: what a job must never do, by architecture.
DENIED = {
    "x86_64": {
        "socket": 41, "connect": 42, "accept": 43, "sendto": 44, "sendmsg": 46, "recvmsg": 47, "bind": 49, "listen": 50,
        "socketpair": 53, "clone": 56, "fork": 57, "vfork": 58, "execve": 59, "execveat": 322, "ptrace": 101,
        "process_vm_readv": 310, "process_vm_writev": 311, "mount": 165, "umount2": 166, "pivot_root": 155, "chroot": 161,
        "unshare": 272, "setns": 308, "bpf": 321, "perf_event_open": 298, "io_uring_setup": 425, "io_uring_enter": 426,
        "add_key": 248, "request_key": 249, "keyctl": 250, "userfaultfd": 323, "open_by_handle_at": 304,
        "name_to_handle_at": 303, "memfd_create": 319, "memfd_secret": 447, "tkill": 200, "rt_sigqueueinfo": 129,
        "rt_tgsigqueueinfo": 297, "pidfd_open": 434, "pidfd_getfd": 438, "pidfd_send_signal": 424, "shmget": 29, "msgget": 68,
        "semget": 64, "mq_open": 240, "chmod": 90, "fchmod": 91, "fchmodat": 268, "chown": 92, "lchown": 94, "fchown": 93,
        "utimensat": 280, "utime": 132, "setxattr": 188, "fsetxattr": 190, "truncate": 76, "mknod": 133, "inotify_init1": 294,
        "fanotify_init": 300, "setrlimit": 160, "setpriority": 141, "sched_setaffinity": 203, "sched_setscheduler": 144,
        "setuid": 105, "setresuid": 117, "setgroups": 116, "capset": 126, "setsid": 112, "setpgid": 109, "seccomp": 317,
        "landlock_create_ruleset": 444, "mlock": 149, "mlockall": 151, "modify_ldt": 154, "personality": 135, "iopl": 172,
        "kexec_load": 246, "init_module": 175, "quotactl": 179, "syslog": 103, "reboot": 169, "kcmp": 312,
        "process_madvise": 440, "move_pages": 279, "migrate_pages": 256, "timerfd_create": 283, "splice": 275,
    },
    "aarch64": {
        "socket": 198, "connect": 203, "bind": 200, "sendmsg": 211, "clone": 220, "execve": 221, "execveat": 281, "ptrace": 117,
        "process_vm_readv": 270, "mount": 40, "unshare": 97, "setns": 268, "bpf": 280, "perf_event_open": 241,
        "io_uring_setup": 425, "keyctl": 219, "userfaultfd": 282, "open_by_handle_at": 265, "memfd_create": 279, "tkill": 130,
        "rt_sigqueueinfo": 138, "pidfd_getfd": 438, "shmget": 194, "fchmod": 52, "fchmodat": 53, "fchownat": 54,
        "utimensat": 88, "setxattr": 5, "truncate": 45, "setrlimit": 164, "setpriority": 140, "setuid": 146, "seccomp": 277,
        "mknodat": 33, "setsid": 157, "setpgid": 154,
    },
}  # fmt: skip


def run(program: bytes, *, architecture: int, number: int, arguments: tuple[int, ...] = ()) -> str | int:
    """What the kernel would do with the call: ALLOWED, KILLED or the errno. Only the instructions that we use."""
    data = struct.pack("<IIQ6Q", number, architecture, 0, *arguments, *[0] * (6 - len(arguments)))
    steps = list(struct.iter_unpack("=HBBI", program))
    at = accumulator = 0
    while True:
        code, jump_true, jump_false, operand = steps[at]
        at += 1
        if code == bpf.LD_W_ABS:
            (accumulator,) = struct.unpack_from("<I", data, operand)
        elif code == bpf.AND_K:
            accumulator &= operand
        elif code == bpf.RET_K:
            break
        else:
            holds = {
                bpf.JEQ_K: accumulator == operand,
                bpf.JGE_K: accumulator >= operand,
                bpf.JSET_K: bool(accumulator & operand),
            }[code]
            at += jump_true if holds else jump_false
    if operand == bpf.RET_KILL_PROCESS:
        return KILLED
    return ALLOWED if operand == bpf.RET_ALLOW else operand & 0xFFFF


def call(machine: str, name: str, *arguments: int) -> str | int:
    """What the filter of a job says to a call by name."""
    table = ARCHITECTURES[machine]
    number = {**table.numbers, **DENIED[machine]}[name]
    return run(program_for(machine, own_pid=PID), architecture=table.audit, number=number, arguments=arguments)


machines = pytest.mark.parametrize("machine", ARCHITECTURES)


@pytest.mark.parametrize(("machine", "name"), [(machine, name) for machine in DENIED for name in DENIED[machine]])
def test_a_call_that_reaches_beyond_the_job_is_refused(machine: str, name: str) -> None:
    assert call(machine, name) == errno.EPERM


@machines
@pytest.mark.parametrize(
    "name", ["read", "write", "mmap", "brk", "futex", "getrandom", "exit_group", "fstat", "getdents64"]
)
def test_what_computing_needs_is_allowed(machine: str, name: str) -> None:
    assert call(machine, name) == ALLOWED


@machines
def test_only_the_job_itself_can_be_signalled(machine: str) -> None:
    for name in ("kill", "tgkill"):
        assert call(machine, name, PID, signal.SIGTERM) == ALLOWED
        # The upper half of the register is no part of a pid.
        assert call(machine, name, PID | 1 << 32, signal.SIGTERM) == ALLOWED
        for other in (1, PID + 1, 0, 2**32 - 1, 2**32 - PID):
            assert call(machine, name, other, signal.SIGKILL) == errno.EPERM


@machines
def test_limits_of_other_processes_are_out_of_reach(machine: str) -> None:
    assert call(machine, "prlimit64", 0) == ALLOWED
    assert call(machine, "prlimit64", 1) == errno.EPERM


@machines
def test_the_library_is_told_that_newer_ways_to_start_and_open_do_not_exist(machine: str) -> None:
    """Source: clone3(2) and openat2(2) take their flags through a pointer, which a filter can't see."""
    assert call(machine, "clone3") == errno.ENOSYS
    assert call(machine, "openat2") == errno.ENOSYS
    program = program_for(machine, own_pid=PID)
    assert run(program, architecture=ARCHITECTURES[machine].audit, number=500) == errno.ENOSYS


@machines
def test_a_file_is_opened_with_a_name_and_emptied_only_by_who_may_write(machine: str) -> None:
    def opening(flags: int) -> str | int:
        return call(machine, "openat", 0, 0, flags)

    assert opening(os.O_RDONLY | os.O_CLOEXEC) == ALLOWED
    assert opening(os.O_WRONLY | os.O_CREAT | os.O_TRUNC) == ALLOWED
    assert opening(os.O_RDWR | os.O_TRUNC) == ALLOWED
    assert opening(os.O_RDONLY | os.O_TRUNC) == errno.EPERM
    assert opening(os.O_TMPFILE | os.O_RDWR) == errno.EOPNOTSUPP


def test_the_old_way_to_open_is_held_to_the_same() -> None:
    assert call("x86_64", "open", 0, os.O_RDONLY | os.O_TRUNC) == errno.EPERM
    assert call("x86_64", "open", 0, os.O_TMPFILE | os.O_RDWR) == errno.EOPNOTSUPP


@machines
def test_descriptors_can_not_be_made_to_signal_others(machine: str) -> None:
    """Source: fcntl(2): F_SETOWN and F_SETSIG send any signal to a process of the same user."""
    f_setown, f_setsig, f_setpipe_sz, f_setown_ex = 8, 10, 1031, 15
    for command in (f_setown, f_setsig, f_setpipe_sz, f_setown_ex):
        assert call(machine, "fcntl", 3, command) == errno.EPERM
    assert call(machine, "fcntl", 3, 1) == ALLOWED
    fiosetown, tiocsti = 0x8901, 0x5412
    assert call(machine, "ioctl", 0, fiosetown) == call(machine, "ioctl", 0, tiocsti) == errno.EPERM


@machines
def test_what_was_given_up_can_not_be_taken_back(machine: str) -> None:
    set_pdeathsig, set_dumpable, set_seccomp, set_mm = 1, 4, 22, 35
    for option in (set_pdeathsig, set_dumpable, set_seccomp, set_mm):
        assert call(machine, "prctl", option) == errno.EPERM
    set_name = 15
    assert call(machine, "prctl", set_name) == ALLOWED


@machines
def test_the_tables_of_other_architectures_kill(machine: str) -> None:
    program = program_for(machine, own_pid=PID)
    i386, arm = 0x40000003, 0x40000028
    for foreign in (i386, arm, *(each.audit for name, each in ARCHITECTURES.items() if name != machine)):
        assert run(program, architecture=foreign, number=20) == KILLED
    assert run(program, architecture=ARCHITECTURES[machine].audit, number=0x40000000 + 39) == KILLED


@machines
def test_no_instruction_jumps_out_of_the_program(machine: str) -> None:
    steps = list(struct.iter_unpack("=HBBI", program_for(machine, own_pid=PID)))

    assert len(steps) < 4096
    jumps = (bpf.JEQ_K, bpf.JGE_K, bpf.JSET_K)
    for index, (code, jump_true, jump_false, _) in enumerate(steps):
        assert code not in jumps or index + 1 + max(jump_true, jump_false) < len(steps)
    assert steps[-1][0] == bpf.RET_K


def test_each_version_of_landlock_is_asked_for_all_that_it_can_deny() -> None:
    """Source: Documentation/userspace-api/landlock.rst: an unknown bit or a longer structure is refused."""
    sizes = {version: len(landlock.ruleset_attributes(version)) for version in range(1, 9)}
    rights = {version: landlock.file_rights(version) for version in range(1, 9)}

    assert sizes == {1: 8, 2: 8, 3: 8, 4: 16, 5: 16, 6: 24, 7: 24, 8: 24}
    assert [rights[version].bit_count() for version in (1, 2, 3, 4, 5)] == [13, 14, 15, 15, 16]
    assert struct.unpack("=3Q", landlock.ruleset_attributes(7)) == (0xFFFF, 3, 3)


def test_a_path_rule_is_packed() -> None:
    assert landlock.path_rule(landlock.READ, 7) == bytes([0b1100, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0])
