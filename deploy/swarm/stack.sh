#!/usr/bin/env bash
# docker-compose.yml as a Swarm stack, on standard output:
#
#   deploy/swarm/stack.sh | docker stack deploy -c - tfleet
#
# .env counts as it does for compose. Arguments go to `docker compose`: -p NAME for a stack of another name, -f FILE
# for what is yours on top.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
compose=(docker compose --project-name "${COMPOSE_PROJECT_NAME:-tfleet}" --project-directory "$root"
    --file "$root/docker-compose.yml" --file "$root/deploy/swarm/swarm.yml")

for argument in "$@"; do
    case $argument in *docker-compose.p2p.yml)
        echo "stack.sh: p2p from outside is not for a Swarm: a worker would ask another machine's engine" >&2
        exit 2 ;;
    esac
done

# `docker stack` reads an older form of the same language: it knows no name, and wants a text where compose
# writes a number and a number where it writes a text.
"${compose[@]}" "$@" config |
    sed -E -e '/^name: /d' -e 's/^( +cpus: )([0-9.]+)$/\1"\2"/' -e 's/^( +published: )"(.*)"$/\1\2/'
