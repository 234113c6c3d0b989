"""Run by gdb: writes one JSON object per frame of every thread to the file $TD_GDB_OUT."""
import json
import os

import gdb

KINDS = {
    gdb.NORMAL_FRAME: "normal",
    gdb.INLINE_FRAME: "inline",
    gdb.SIGTRAMP_FRAME: "sigtramp",
    gdb.TAILCALL_FRAME: "tailcall",
    gdb.ARCH_FRAME: "arch",
    gdb.DUMMY_FRAME: "dummy",
}


def place(frame):
    sal = frame.find_sal()
    if sal is None or sal.symtab is None or not sal.line:
        return None, None
    return sal.symtab.filename, sal.line


def describe(tid, frame):
    symbol = frame.function()
    file, line = place(frame)
    return {
        "tid": tid,
        "pc": frame.pc() & (2**64 - 1),
        "kind": KINDS.get(frame.type(), "other"),
        "name": frame.name(),
        "linkage": symbol.linkage_name if symbol is not None else None,
        "file": file,
        "line": line,
    }


def registers(frame):
    """Those that have a number for a value."""
    values = {}
    for register in frame.architecture().registers():
        try:
            value = frame.read_register(register)
            if value.type.code == gdb.TYPE_CODE_FLT and value.type.sizeof == 8:
                # The bytes: as a number, one not-a-number is like another.
                values[register.name] = int(value.format_string(format="x"), 16)
            else:
                values[register.name] = int(value) & (2 ** (8 * value.type.sizeof) - 1)
        except (gdb.error, ValueError, TypeError, OverflowError):
            pass
    return {name: value for name, value in values.items() if value < 2**64}


def walk(thread, out, limit):
    tid = thread.ptid[1]
    thread.switch()
    count = 0
    frame = gdb.newest_frame()
    if "TD_GDB_REGISTERS" in os.environ:
        out.write(json.dumps({"tid": tid, "registers": registers(frame)}) + "\n")
    while frame is not None and (limit == 0 or count < limit):
        out.write(json.dumps(describe(tid, frame)) + "\n")
        count += 1
        stop = frame.unwind_stop_reason()
        try:
            older = frame.older()
        except gdb.error as error:
            out.write(json.dumps({"tid": tid, "stop": str(error)}) + "\n")
            return
        if older is None and stop != gdb.FRAME_UNWIND_NO_REASON:
            out.write(json.dumps({"tid": tid, "stop": gdb.frame_stop_reason_string(stop)}) + "\n")
        frame = older


def main():
    limit = int(os.environ.get("TD_GDB_LIMIT", "0"))
    with open(os.environ["TD_GDB_OUT"], "w", encoding="utf-8", errors="replace") as out:
        for thread in sorted(gdb.selected_inferior().threads(), key=lambda t: t.ptid[1]):
            try:
                walk(thread, out, limit)
            except gdb.error as error:
                out.write(json.dumps({"tid": thread.ptid[1], "stop": str(error)}) + "\n")
        out.write(json.dumps({"done": True}) + "\n")


main()
