#!/usr/bin/env bash
# Install the system packages that some tests need, where they are missing: Debian and Ubuntu, as root.
#
#   tests/system-packages.sh            # all of them
#   tests/system-packages.sh browser    # Chromium, for the tests of the pages
#   tests/system-packages.sh cluster    # a SLURM of one machine, for the tests of the cluster profile
#
# Without root or apt-get it says what is missing and ends well: those tests are skipped with a reason.
set -euo pipefail

declare -A COMMANDS=([browser]="chromium" [cluster]="sbatch slurmctld slurmd munged slurmdbd mariadbd")
declare -A PACKAGES=([browser]="chromium fonts-liberation" 
  [cluster]="munge slurmctld slurmd slurm-client slurmdbd slurm-wlm-mysql-plugin mariadb-server-core mariadb-client-core")

missing() { # the commands of a group that are not there
  local command
  for command in ${COMMANDS[$1]}; do
    PATH="$PATH:/usr/sbin:/sbin" command -v "$command" >/dev/null || echo "$command"
  done
}

wanted=()
for group in "${@:-browser cluster}"; do wanted+=($group); done
for group in "${wanted[@]}"; do
  if [ -z "${COMMANDS[$group]:-}" ]; then
    echo "$0: unknown group '$group'; there are: ${!COMMANDS[*]}" >&2
    exit 2
  fi
  absent=$(missing "$group")
  [ -n "$absent" ] || continue
  install="apt-get install -y --no-install-recommends ${PACKAGES[$group]}"
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "$group: no" $absent"; tests that need it are skipped (as root: $install)" >&2
  elif ! { apt-get update -qq && DEBIAN_FRONTEND=noninteractive $install -qq >/dev/null; }; then
    echo "$group: could not install ${PACKAGES[$group]}; tests that need it are skipped" >&2
  fi
done
