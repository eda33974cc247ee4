# SPDX-License-Identifier: MIT
"""Maven coordinates, group:artifact:version, as addresses and file names."""


def _parts(coordinate):
    parts = coordinate.split(":")
    if len(parts) != 3 or not all(parts):
        raise ValueError(f'MAVEN_JARS: expected group:artifact:version, found "{coordinate}"')
    return parts


def artifact(coordinate):
    return _parts(coordinate)[1]


def file_name(coordinate):
    _, name, version = _parts(coordinate)
    return f"{name}-{version}.jar"


def uri(coordinate):
    """The SRC_URI entry. A jar is a zip file, which BitBake would unpack."""
    group, name, version = _parts(coordinate)
    return f"${{OTAMGR_MAVEN_MIRROR}}/{group.replace('.', '/')}/{name}/{version}/{file_name(coordinate)};name={name};unpack=0"
