#!/bin/sh
# Installs what tests need from Debian: Chromium for the page, Debian's own Redis beside the embedded one,
# MariaDB beside SQLite, and tmux for the client in a terminal; with the argument `long`, npm for what the tests
# that take long compare with.
# Needs root or sudo without a password; says what it could not install. With CI set that is a failure.
# No service is started: tests start their own servers.
set -u
tests=${1:-}

# Programs, and what is skipped without them.
missing() {
	command -v chromium >/dev/null 2>&1 || command -v chromium-browser >/dev/null 2>&1 || echo chromium
	command -v redis-server >/dev/null 2>&1 || echo redis-server
	# Debian keeps the server where only root's PATH leads.
	PATH="$PATH:/usr/sbin" command -v mariadbd >/dev/null 2>&1 || echo mariadb-server
	command -v tmux >/dev/null 2>&1 || echo tmux
	[ "$tests" != long ] || command -v npm >/dev/null 2>&1 || echo npm
}

skipped() {
	case $1 in
	chromium) echo "  chromium: tests of the page in a real browser are skipped" ;;
	redis-server) echo "  redis-server: tests against Debian's own Redis are skipped (the embedded one is tested)" ;;
	mariadb-server) echo "  mariadb-server: tests on MariaDB are skipped (the same are done on SQLite)" ;;
	tmux) echo "  tmux: tests of the client in a real terminal are skipped" ;;
	npm) echo "  npm: tests against large foreign schemas and the conformance runner cannot run" ;;
	esac
}

as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
		sudo -n "$@"
	else
		return 1
	fi
}

install_packages() {
	if ! command -v apt-get >/dev/null 2>&1; then
		echo "There is no apt-get here."
		return 1
	fi
	if ! as_root true; then
		echo "Installing needs root, or sudo without a password."
		return 1
	fi
	echo "Installing $*"
	policy=
	# Debian starts a service as soon as it is installed, unless this file says no.
	if [ ! -e /usr/sbin/policy-rc.d ]; then
		policy=/usr/sbin/policy-rc.d
		printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null && as_root chmod 755 "$policy"
	fi
	as_root env DEBIAN_FRONTEND=noninteractive sh -c \
		'apt-get update -qq -o Acquire::Retries=3 && apt-get install -y -qq -o Acquire::Retries=3 --no-install-recommends "$@"' install "$@"
	result=$?
	[ -z "$policy" ] || as_root rm -f "$policy"
	return $result
}

wanted=$(missing)
[ -n "$wanted" ] || exit 0

# shellcheck disable=SC2086 - one word per package
install_packages $wanted

wanted=$(missing)
[ -n "$wanted" ] || exit 0
echo "Not installed:"
for name in $wanted; do skipped "$name"; done
[ -z "${CI:-}" ] || exit 1
