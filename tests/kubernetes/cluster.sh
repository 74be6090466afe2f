# Sourced by check-server: a Kubernetes of its own without nodes, on free ports of 127.0.0.1: etcd, the
# API server and the controllers. start_cluster FOLDER; everything ends with stop_cluster.

cluster_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cluster_bin=${MILLRACE_DEV:-$cluster_root/.dev}/kubernetes/bin
cluster_pids=()

kubectl() { "$cluster_bin/kubectl" "$@"; }
helm() { "$cluster_bin/helm" "$@" 2> >(grep -v 'found symbolic link' >&2 || true); }

# wait_for SECONDS WHAT COMMAND...
wait_for() {
  local deadline=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$deadline" ] || { echo "in vain waited for: $what" && return 1; }
    sleep 0.2
  done
}

# launch NAME COMMAND...: in the background, with a log of that name.
launch() {
  local name=$1
  shift
  "$@" >"$cluster_folder/$name.log" 2>&1 &
  cluster_pids+=($!)
}

write_kubeconfig() {
  cat >"$KUBECONFIG" <<YAML
apiVersion: v1
kind: Config
current-context: test
clusters: [{name: test, cluster: {server: "https://127.0.0.1:$1", insecure-skip-tls-verify: true}}]
users: [{name: test, user: {token: test-only}}]
contexts: [{name: test, context: {cluster: test, user: test}}]
YAML
}

start_cluster() {
  cluster_folder=$1
  local client_port peer_port api_port keys=$1/sa.key
  { read -r client_port && read -r peer_port && read -r api_port; } < <("$cluster_root/deploy/dev/free-port" 3)
  export KUBECONFIG=$1/kubeconfig HELM_CACHE_HOME=$1/helm HELM_CONFIG_HOME=$1/helm HELM_DATA_HOME=$1/helm
  write_kubeconfig "$api_port"
  openssl genrsa -out "$keys" 2048 2>/dev/null
  echo 'test-only,test,test,"system:masters"' >"$1/tokens"

  launch etcd /usr/bin/etcd --data-dir "$1/etcd" --unsafe-no-fsync \
    --listen-client-urls "http://127.0.0.1:$client_port" \
    --advertise-client-urls "http://127.0.0.1:$client_port" \
    --listen-peer-urls "http://127.0.0.1:$peer_port" \
    --initial-advertise-peer-urls "http://127.0.0.1:$peer_port" \
    --initial-cluster "default=http://127.0.0.1:$peer_port"
  launch kube-apiserver "$cluster_bin/kube-apiserver" --etcd-servers "http://127.0.0.1:$client_port" \
    --bind-address 127.0.0.1 --secure-port "$api_port" --cert-dir "$1/certificates" \
    --endpoint-reconciler-type none --service-cluster-ip-range 10.0.0.0/24 \
    --token-auth-file "$1/tokens" --authorization-mode RBAC --service-account-key-file "$keys" \
    --service-account-signing-key-file "$keys" --service-account-issuer https://test.invalid
  wait_for 120 "the API server" kubectl get --raw /readyz || {
    tail -n 5 "$1"/*.log
    return 1
  }
  launch kube-controller-manager "$cluster_bin/kube-controller-manager" --kubeconfig "$KUBECONFIG" \
    --leader-elect=false --bind-address 127.0.0.1 --secure-port 0 \
    --service-account-private-key-file "$keys" \
    --controllers 'deployment-controller,replicaset-controller,disruption-controller,serviceaccount-controller,namespace-controller,garbage-collector-controller,endpointslice-controller'
}

stop_cluster() {
  [ ${#cluster_pids[@]} -eq 0 ] || kill "${cluster_pids[@]}" 2>/dev/null || true
  wait 2>/dev/null || true
}
