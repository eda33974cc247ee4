# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# Sourced by scripts that build a program of the tests from Debian's source.

# debian_source_unpacked PACKAGE: ./source is made, the source of PACKAGE as Debian builds it; what was said is in ./log. The current folder is to be an
# empty one of the caller's own.
# With lists and cache of our own: the system's apt configuration stays as it is.
debian_source_unpacked() {
    mkdir -p lists/partial cache/archives/partial parts
    for list in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
        [ -f "$list" ] || continue
        sed -n 's/^deb /deb-src /p' "$list"
    done >sources.list
    for list in /etc/apt/sources.list.d/*.sources; do
        [ -f "$list" ] || continue
        sed 's/^Types:.*/Types: deb-src/' "$list" >"parts/${list##*/}"
    done
    for words in update "source --download-only $1"; do
        # shellcheck disable=SC2086 # words
        apt-get -q -o Dir::Etc::SourceList="$PWD/sources.list" -o Dir::Etc::SourceParts="$PWD/parts" \
            -o Dir::State::Lists="$PWD/lists" -o Dir::Cache="$PWD/cache" -o APT::Sandbox::User=root $words >>log 2>&1 || {
            echo "the source of $1 could not be fetched from the Debian mirror" >>log
            return 1
        }
    done
    dpkg-source --no-check -x "$1"_*.dsc source >>log 2>&1
}
