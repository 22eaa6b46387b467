#!/usr/bin/env bash
# Makes .venv and installs this project into it: `deploy/install.sh REQUIREMENT STAMP...`, from the Makefile.
#
# The stamps are touched only when all has gone well, so an interrupted install is done again next time.
# PYTHON names the interpreter to use; without it the first usable one of python3, python3.13 ... 3.11 is it.
set -euo pipefail

requirement=$1
shift
stamps=("$@")
venv=.venv

fail() { echo "tfleet: $*" >&2; exit 2; }

# Whether this interpreter really runs (a shim may not) and is one that TensorFlow has wheels for.
right_version() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' > /dev/null 2>&1
}

# Debian and Ubuntu leave venv and ensurepip out of python3 itself.
has_venv() { "$1" -c 'import ensurepip, venv' > /dev/null 2>&1; }

usable() { right_version "$1" && has_venv "$1"; }

# The packages that bring a usable interpreter; $1 is one of the right version that only lacks venv, or empty.
packages() {
    local version
    if [ -n "$1" ]; then
        version=$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
        echo "python$version-venv"
        return
    fi
    for version in 3.13 3.12 3.11; do
        if apt-cache show "python$version-venv" > /dev/null 2>&1; then
            echo "python$version python$version-venv"
            return
        fi
    done
    echo "python3 python3-venv"
}

choose_python() {
    local candidate almost=""
    if [ -n "${PYTHON:-}" ]; then
        right_version "$PYTHON" || fail "PYTHON=$PYTHON is no Python 3.11, 3.12 or 3.13 that runs"
        has_venv "$PYTHON" ||
            fail "PYTHON=$PYTHON has no venv; try: sudo apt-get install -y $(packages "$PYTHON")"
        echo "$PYTHON"
        return
    fi
    for candidate in python3 python3.13 python3.12 python3.11; do
        if usable "$candidate"; then
            echo "$candidate"
            return
        fi
        if [ -z "$almost" ] && right_version "$candidate"; then almost=$candidate; fi
    done
    fail "needs Python 3.11, 3.12 or 3.13 with venv:" \
        "sudo apt-get update && sudo apt-get install -y $(packages "$almost")"
}

# Whether .venv is whole (an interrupted one has no pip) and made with the interpreter that PYTHON names.
venv_is_good() {
    local identity='import sys; print(sys.version, sys.base_prefix)'
    right_version "$venv/bin/python" && "$venv/bin/python" -m pip --version > /dev/null 2>&1 || return
    [ -z "${PYTHON:-}" ] || [ "$("$venv/bin/python" -c "$identity")" = "$("$PYTHON" -c "$identity")" ]
}

if ! venv_is_good; then
    python=$(choose_python)
    echo "tfleet: making $venv with $("$python" --version)"
    "$python" -m venv --clear "$venv"
fi
rm -f "${stamps[@]}" # what they stood for is about to change

began=$SECONDS
if "$venv/bin/python" -m pip show --quiet tfleet 2> /dev/null; then
    echo "tfleet: bringing $venv up to date with $requirement"
else
    echo "tfleet: installing $requirement: TensorFlow and the rest, 350 MB to download, 2 GB on disk."
    echo "tfleet: this takes one to five minutes, and only the first time."
fi
"$venv/bin/python" -m pip install --disable-pip-version-check -c constraints.txt -e "$requirement"
touch "${stamps[@]}"
echo "tfleet: installed in $((SECONDS - began)) s"
