#!/usr/bin/env bash
# The search on a Slurm cluster: Ray on every node of one job, the driver on the first. From the
# repository root, which all nodes must see under the same path, with the project installed in a
# virtual environment that they see too:
#
#   sbatch search/cluster/launch/slurm.sh --name NAME --storage /shared/results ...
#
# What follows the script goes to search/run.py. Resources are asked for below or on sbatch's
# command line, which wins: `sbatch --nodes=4 --partition=gpu search/cluster/launch/slurm.sh ...`. Before
# the time is up Slurm interrupts the driver, which closes the search; the same command with
# --resume goes on.
#
# MPS is not started, since sites differ in how it is: without it trials that share a GPU
# (--gpus-per-trial 0.25) take turns on it.
#
#SBATCH --job-name=mtbert
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --exclusive
#SBATCH --gpus-per-node=4
#SBATCH --time=12:00:00
#SBATCH --signal=B:INT@300
#SBATCH --output=%x-%j.log
set -euo pipefail
set -m # the driver gets a process group of its own; without, bash would let it ignore INT

cd "${SLURM_SUBMIT_DIR:?start this with sbatch}"
# shellcheck disable=SC1091
source "${MTBERT_VENV:-.venv}/bin/activate"

# A token for this job only, in the environment that srun hands on: never on a command line.
RAY_AUTH_MODE=token
RAY_AUTH_TOKEN=$(python -c 'import secrets; print(secrets.token_hex(32))')
export RAY_AUTH_MODE RAY_AUTH_TOKEN
export RAY_health_check_period_ms=1000 RAY_health_check_timeout_ms=3000
export RAY_health_check_failure_threshold=3
unset OMP_NUM_THREADS # or all trials would inherit what the site sets

first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
# What its name stands for, unless that is a loopback (127.0.1.1 on Debian) or IPv6.
ips=$(srun --overlap --nodes=1 --ntasks=1 --nodelist="$first" \
  bash -c 'hostname --ip-address; hostname --all-ip-addresses')
ip=
for word in $ips; do
  if [[ $word =~ ^[0-9]+(\.[0-9]+){3}$ && $word != 127.* ]]; then
    ip=$word
    break
  fi
done
: "${ip:?$first has no IPv4 address outside 127/8, but: $ips}"
# Others may use Ray on these nodes too: ports and temporary files of this job.
address=$ip:$((20000 + SLURM_JOB_ID % 10000))
# All cores of a node for the one process that is started there: some sites bind it to a single one.
cores=("--cpus-per-task=$SLURM_CPUS_ON_NODE" --cpu-bind=none)
common=(--block "--num-cpus=$SLURM_CPUS_ON_NODE" --object-store-memory=2000000000)

trap 'kill $(jobs -p) 2> /dev/null || true; wait' EXIT

srun --overlap --nodes=1 --ntasks=1 --nodelist="$first" "${cores[@]}" \
  ray start --head "--node-ip-address=$ip" "--port=${address#*:}" --dashboard-host=127.0.0.1 \
  "--temp-dir=/tmp/ray-$SLURM_JOB_ID" "${common[@]}" &

for _ in {1..60}; do
  ray status --address "$address" > /dev/null 2>&1 && break
  sleep 2
done
ray status --address "$address" > /dev/null # where the head does not answer, the job ends here

workers=$((SLURM_JOB_NUM_NODES - 1))
if ((workers > 0)); then
  srun --overlap "--nodes=$workers" "--ntasks=$workers" --ntasks-per-node=1 --exclude="$first" \
    "${cores[@]}" ray start "--address=$address" "${common[@]}" &
fi

# The search reads what a trial gets from the nodes that are there, so all of them come first; after
# ten minutes it begins without the others, and uses them when they come.
wait_for_nodes='
import sys, time, ray
address, wanted = sys.argv[1], int(sys.argv[2])
ray.init(address=address, log_to_driver=False, logging_level="ERROR")
end = time.monotonic() + 600
while (there := sum(node["Alive"] for node in ray.nodes())) < wanted and time.monotonic() < end:
    time.sleep(1)
print(f"{there} of {wanted} nodes are there", flush=True)
'
if ((workers > 0)); then
  echo "waiting for $SLURM_JOB_NUM_NODES nodes, at most 10 minutes"
  python -c "$wait_for_nodes" "$address" "$SLURM_JOB_NUM_NODES"
fi

python search/run.py --address "$address" "$@" &
driver=$!
trap 'kill -INT $driver' INT TERM
# A signal ends `wait`, not the driver, which then closes the search.
until
  wait $driver && status=0 || status=$?
  ! kill -0 $driver 2> /dev/null
do :; done
exit "$status"
