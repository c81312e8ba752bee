#!/bin/sh
# Slurm and what it authenticates by, for tests/run/sweep/test_slurm.py; of Debian or Ubuntu, as root.
set -e
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
exec apt-get install -q -y --no-install-recommends slurm-wlm munge
