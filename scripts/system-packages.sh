#!/bin/sh
# Install the Debian packages that "make demo" or "make test" needs; if not root, list what is missing.
# Usage: scripts/system-packages.sh demo|test
set -eu

python=${PYTHON:-python3}
missing=""

need() { # command package
    command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}

need "$python" python3
"$python" -c "import ensurepip, venv" 2>/dev/null || missing="$missing python3-venv"
if [ "${1:-demo}" = test ]; then
    need openssl openssl
    need chromium chromium
    need nginx nginx
    need npm npm
    need redis-server redis-server
    need chromedriver chromium-driver
    need firefox-esr firefox-esr
fi

if [ -n "$missing" ]; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        echo "Installing system packages:$missing"
        apt-get update -qq
        # shellcheck disable=SC2086  # The names are meant to be split.
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
    else
        echo "These system packages are missing:$missing" >&2
        echo "Install them as root:  apt-get install$missing" >&2
        exit 1
    fi
fi

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || {
    echo "Python 3.10 or newer is needed; $python is $("$python" -V 2>&1)" >&2
    exit 1
}
