#!/usr/bin/python3
"""summary.py BUILD - counts what ./test ran and prints its last line.

Unit tests are counted one by one from Criterion's synthesis lines in
BUILD/ctest.log (a program without one counts as one test), checks from
BUILD/checks.log, pytest's from BUILD/e2e*.xml. A program that died before
its synthesis is one failure. Nothing counted at all is a failure too.
"""

import glob
import os
import re
import sys
import xml.etree.ElementTree as ElementTree

SYNTHESIS = re.compile(
    r"^(\d+): .*Synthesis: Tested: (\d+) \| Passing: (\d+)"
    r" \| Failing: (\d+) \| Crashing: (\d+)")
RESULT = re.compile(r"^ *\d+/\d+ +Test +#(\d+): (\S+) \.*\s*(\**.*)$")
ANSI = re.compile(r"\x1b\[[0-9;]*m")


def units(path):
    """Passed, failed and skipped of CTest's verbose log, and what failed."""
    passed = failed = 0
    bad = []
    tests = {}
    with open(path, errors="replace") as log:
        lines = [ANSI.sub("", line) for line in log]
    for line in lines:
        found = SYNTHESIS.match(line)
        if found:
            number, _, good, failing, crashing = map(int, found.groups())
            tests[number] = (good, failing + crashing)
    for line in lines:
        found = RESULT.match(line)
        if not found:
            continue
        number, name, verdict = found.groups()
        good, wrong = tests.get(int(number), (0, 0))
        if "Passed" in verdict:
            passed += good or 1
            continue
        passed += good
        failed += wrong or 1
        bad.append("unit %s: %s" % (name, verdict.strip("* \n")))
        bad += ["    " + text.rstrip() for text in lines
                if text.startswith(number + ": [----]")
                or (text.startswith(number + ": ") and "error" in text)]
    return passed, failed, 0, bad


def checks(path):
    with open(path) as log:
        lines = log.read().splitlines()
    bad = ["check " + line[5:] for line in lines if line.startswith("fail ")]
    return len(lines) - len(bad), len(bad), 0, bad


def junit(path):
    passed = failed = skipped = 0
    bad = []
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        kinds = {child.tag for child in case}
        name = "%s::%s" % (case.get("classname"), case.get("name"))
        if kinds & {"failure", "error"}:
            failed += 1
            bad.append(name)
        elif "skipped" in kinds:
            skipped += 1
            reason = case.find("skipped").get("message", "")
            print("skipped: %s: %s" % (name, reason))
        else:
            passed += 1
    return passed, failed, skipped, bad


def main():
    build = sys.argv[1]
    parts = []
    for path, count in ((build + "/ctest.log", units),
                        (build + "/checks.log", checks)):
        if os.path.exists(path):
            parts.append(count(path))
    for path in sorted(glob.glob(build + "/e2e*.xml")):
        parts.append(junit(path))
    passed, failed, skipped = (sum(part[i] for part in parts)
                               for i in range(3))
    for part in parts:
        for text in part[3]:
            print("failed: " + text)
    if passed + failed == 0:
        print("no test ran")
        failed = 1
    print("%d passed, %d failed%s" % (
        passed, failed, ", %d skipped" % skipped if skipped else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
