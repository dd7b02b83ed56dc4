#!/usr/bin/env bash
# A private Slurm cluster of four emulated nodes on this machine, to try the workflow and to
# test it without a cluster:
#
#   sudo scripts/slurm_sandbox.sh start
#   snakemake --profile slurm --workflow-profile slurm-sandbox
#   sudo scripts/slurm_sandbox.sh stop
#
# "start --accounting" adds slurmdbd and a database of its own, as most clusters have them; root has
# the account "shadowmill" there, and limits are enforced (sacctmgr modify user root set …).
#
# Each node claims 4 CPUs, 128 GB and 2 GPUs, whatever the machine has, so that the requests of
# profiles/slurm fit unchanged. Use of memory, cores and GPUs is not enforced: no cgroups.
set -euo pipefail

readonly marker='# Written by Shadowmill scripts/slurm_sandbox.sh; its "stop" removes this file.'
# Only here: a job step drops SLURM_CONF before it calls srun, which then reads this directory.
readonly etc=/etc/slurm
readonly state=/var/tmp/shadowmill-slurm-sandbox
readonly cluster=shadowmill-sandbox # also SLURM_CLUSTER_NAME in every job, see stray_processes
readonly nodes=4
readonly database_port=7010 # slurmdbd listens on the next one
accounting=

die() {
    printf 'slurm_sandbox: %s\n' "$*" >&2
    exit 1
}

ours() { [[ -f $1 ]] && grep -qF "$marker" "$1"; }

# The pid in file $1, if it is alive and still program $2 (pids are recycled; Debian adds -wlm).
alive() {
    local pid
    [[ -s $1 ]] && pid=$(<"$1") && [[ $(readlink "/proc/$pid/exe" 2>/dev/null) == */"$2"* ]] &&
        printf '%s' "$pid"
}

wait_until() { # seconds, command…
    local limit=$((SECONDS + $1))
    shift
    until "$@"; do
        ((SECONDS < limit)) || return 1
        sleep 0.2
    done
}

terminate() { # pid file, program
    local pid
    pid=$(alive "$1" "$2") || return 0
    kill "$pid" 2>/dev/null || true
    wait_until 10 ended "$pid" || kill -9 "$pid" 2>/dev/null || true
}

# Daemons remove their pid file before they end, so ask the kernel. A zombie has no program.
ended() { [[ -z $(readlink "/proc/$1/exe" 2>/dev/null) ]]; }

gone() { ! alive "$1" "$2" >/dev/null; }

check() {
    ((EUID == 0)) || die "only root can start or stop Slurm daemons: use sudo"
    local tool missing=()
    # The Slurm plugin of Snakemake calls `which`; minimal images lack it.
    for tool in slurmctld slurmd sinfo munged munge which \
        ${accounting:+slurmdbd mariadbd mariadb-install-db mariadb-admin}; do
        command -v "$tool" >/dev/null || missing+=("$tool")
    done
    ((${#missing[@]} == 0)) ||
        die "missing: ${missing[*]}. Install with: apt-get install slurm-wlm munge debianutils" \
            "${accounting:+slurmdbd mariadb-server}"
    if [[ -e $etc/slurm.conf ]] && ! ours "$etc/slurm.conf"; then
        die "$etc/slurm.conf belongs to another Slurm installation: nothing was changed"
    fi
}

munge_works() { munge -n 2>/dev/null | unmunge >/dev/null 2>&1; }

start_munge() {
    munge_works && return
    local key=/etc/munge/munge.key owner
    [[ -s $key ]] || mungekey --create
    # munged insists on running as the owner of its key; without systemd nobody makes /run/munge.
    owner=$(stat -c %U "$key")
    install -d -o "$owner" -m 755 /run/munge
    runuser -u "$owner" -- "$(command -v munged)"
    touch "$state/started-munge"
    wait_until 10 munge_works || die "munged does not answer; see /var/log/munge/munged.log"
}

accounting_lines() {
    if [[ -z $accounting ]]; then
        echo "AccountingStorageType=accounting_storage/none"
        return
    fi
    cat <<CONF
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort=$((database_port + 1))
AccountingStorageEnforce=associations,limits
CONF
}

database_answers() { mariadb-admin --no-defaults --socket="$state/database/socket" ping &>/dev/null; }

accounting_answers() { sacctmgr --noheader list cluster &>/dev/null; }

start_accounting() {
    local database=$state/database
    if [[ ! -d $database ]]; then
        install -d -o mysql -m 700 "$database"
        mariadb-install-db --no-defaults --user=mysql --datadir="$database" --skip-test-db \
            --auth-root-authentication-method=normal >/dev/null 2>&1 ||
            die "mariadb-install-db failed"
    fi
    if gone "$database/mariadbd.pid" mariadbd; then
        # Only for this machine, and only while the sandbox runs: root of the database has no password.
        mariadbd --no-defaults --user=mysql --datadir="$database" \
            --socket="$state/database/socket" --pid-file="$database/mariadbd.pid" \
            --bind-address=127.0.0.1 --port="$database_port" --innodb-buffer-pool-size=64M \
            --log-error="$database/mariadbd.log" </dev/null &>/dev/null &
        wait_until 20 database_answers || die "the database does not start; see $database/*.log"
    fi
    start_slurmdbd
    if [[ -z $(sacctmgr --noheader list cluster "$cluster" format=Cluster) ]]; then
        sacctmgr --immediate add cluster "$cluster" >/dev/null
        sacctmgr --immediate add account shadowmill >/dev/null
        sacctmgr --immediate add user root account=shadowmill >/dev/null
    fi
}

start_slurmdbd() {
    gone "$state/slurmdbd.pid" slurmdbd || return 0
    install -m 600 /dev/stdin "$etc/slurmdbd.conf" <<CONF
$marker
AuthType=auth/munge
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort=$((database_port + 1))
SlurmUser=root
PidFile=$state/slurmdbd.pid
LogFile=$state/slurmdbd.log
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort=$database_port
StorageUser=root
CONF
    slurmdbd
    wait_until 20 accounting_answers || die "slurmdbd does not answer; see $state/slurmdbd.log"
}

write_config() {
    local host i
    host=$(hostname -s)
    # To Slurm a GPU is any device file; the digits of its name become CUDA_VISIBLE_DEVICES.
    ln -sfn /dev/null "$state/gpu0"
    ln -sfn /dev/zero "$state/gpu1"
    for ((i = 1; i <= nodes; i++)); do mkdir -p "$state/spool-n$i"; done
    mkdir -p "$etc" "$state/ctld"
    cat >"$etc/gres.conf" <<CONF
$marker
AutoDetect=off
NodeName=n[1-$nodes] Name=gpu File=$state/gpu[0-1]
CONF
    cat >"$etc/slurm.conf" <<CONF
$marker
ClusterName=$cluster
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=7000
SlurmUser=root
AuthType=auth/munge
CredType=cred/munge

StateSaveLocation=$state/ctld
SlurmctldPidFile=$state/slurmctld.pid
SlurmctldLogFile=$state/slurmctld.log
SlurmdSpoolDir=$state/spool-%n
SlurmdPidFile=$state/slurmd-%n.pid
SlurmdLogFile=$state/slurmd-%n.log

# No cgroups: they need systemd or privileges that containers do not have. And not linuxproc: it
# follows parents, so whatever a dying shell leaves behind survives scancel.
ProctrackType=proctrack/pgid
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
$(accounting_lines)
MpiDefault=none

# Cores, memory and GPUs are what a job reserves, as on real GPU clusters.
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
# Believe the NodeName line instead of the hardware.
SlurmdParameters=config_overrides

# Not used, and some sites do not allow them.
MaxArraySize=0

# Finished jobs stay visible for tests and for status queries through squeue.
MinJobAge=3600
ReturnToService=2
# What a job gets between SIGTERM and SIGKILL; the default, and what the trainer must live with.
KillWait=30
# Quick decisions: the defaults spare controllers with thousands of jobs.
SchedulerParameters=sched_interval=2,sched_min_interval=0,batch_sched_delay=0,bf_interval=2
SlurmdTimeout=60
InactiveLimit=0

NodeName=n[1-$nodes] NodeHostname=$host NodeAddr=127.0.0.1 Port=[7001-$((7000 + nodes))] CPUs=4 RealMemory=128000 Gres=gpu:2
PartitionName=cpu Nodes=ALL Default=YES MaxTime=INFINITE State=UP
PartitionName=gpu Nodes=ALL MaxTime=INFINITE State=UP
CONF
}

idle() { [[ $(sinfo -h -N -p cpu -t idle -o %N 2>/dev/null | wc -l) == "$nodes" ]]; }

start() {
    local i
    check
    # Root writes here: refuse a directory or link that somebody else put in place.
    mkdir -p -m 755 "$state"
    [[ -O $state && ! -L $state ]] || die "$state belongs to somebody else"
    start_munge
    if gone "$state/slurmctld.pid" slurmctld; then write_config; fi
    if [[ -n $accounting ]]; then start_accounting; fi
    if gone "$state/slurmctld.pid" slurmctld; then slurmctld -i; fi
    for ((i = 1; i <= nodes; i++)); do
        gone "$state/slurmd-n$i.pid" slurmd || continue
        slurmd -N "n$i"
    done
    # Running jobs keep nodes from being idle: enough then that the nodes answer.
    wait_until 30 settled || die "nodes do not come up; see $state/*.log"
    sinfo
}

settled() { idle || [[ -n $(squeue -h 2>/dev/null) ]]; }

# Processes of jobs outlive the daemons, and tracking without cgroups loses some: look for the
# cluster name that Slurm puts into the environment of every job.
stray_processes() {
    local proc
    for proc in /proc/[0-9]*; do
        if [[ $(readlink "$proc/exe" 2>/dev/null) == */slurmstepd* ]] ||
            grep -qszx "SLURM_CLUSTER_NAME=$cluster" "$proc/environ"; then
            [[ ${proc##*/} == "$$" ]] || printf '%s\n' "${proc##*/}"
        fi
    done
}

kill_strays() {
    local pids
    pids=$(stray_processes)
    [[ -z $pids ]] || { xargs -r kill -9 <<<"$pids" 2>/dev/null && false; }
}

stop() {
    local i
    ((EUID == 0)) || die "only root can start or stop Slurm daemons: use sudo"
    if ! ours "$etc/slurm.conf" && [[ ! -d $state ]]; then
        echo "The sandbox is not running."
        return
    fi
    if [[ -e $etc/slurm.conf ]] && ! ours "$etc/slurm.conf"; then
        die "$etc/slurm.conf belongs to another Slurm installation: nothing was changed"
    fi
    terminate "$state/slurmctld.pid" slurmctld
    for ((i = 1; i <= nodes; i++)); do terminate "$state/slurmd-n$i.pid" slurmd; done
    terminate "$state/slurmdbd.pid" slurmdbd
    terminate "$state/database/mariadbd.pid" mariadbd
    # No grace period: whoever stops the cluster does not want to wait for checkpoints.
    wait_until 10 kill_strays || die "some processes of jobs do not end"
    if [[ -e $state/started-munge ]]; then terminate /run/munge/munged.pid munged; fi
    for i in "$etc/slurm.conf" "$etc/gres.conf" "$etc/slurmdbd.conf"; do
        if ours "$i"; then rm -f "$i"; fi
    done
    rm -rf "$state"
    echo "The sandbox is stopped."
}

status() {
    if gone "$state/slurmctld.pid" slurmctld; then
        echo "The sandbox is not running."
        return 3 # as service scripts do
    fi
    sinfo
    squeue
}

case "$*" in
start | stop | status) "$1" ;;
"start --accounting")
    accounting=yes
    start
    ;;
*) die "usage: $0 {start [--accounting]|stop|status}" ;;
esac
