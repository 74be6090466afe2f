{{- define "millrace.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "millrace.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "millrace.labels" -}}
{{ include "millrace.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}

{{- define "millrace.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "millrace.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{ .Values.serviceAccount.name | default (include "millrace.name" .) }}
{{- else -}}
{{ .Values.serviceAccount.name | default "default" }}
{{- end -}}
{{- end -}}

{{- define "millrace.secretName" -}}
{{- if .Values.secrets.existing -}}
{{ .Values.secrets.existing }}
{{- else if .Values.secrets.values -}}
{{ include "millrace.name" . }}
{{- end -}}
{{- end -}}

{{/* Three quarters of the memory limit, less the process itself: the rest is for what Kafka's client
     unpacks beyond its prefetch and for the allocator. */}}
{{- define "millrace.budget" -}}
{{- $limit := .Values.resources.limits.memory -}}
{{- $mebibytes := trimSuffix "Mi" $limit | int -}}
{{- if hasSuffix "Gi" $limit -}}{{- $mebibytes = trimSuffix "Gi" $limit | int | mul 1024 -}}{{- end -}}
{{- $budget := sub (div (mul $mebibytes 3) 4) 100 -}}
{{- if lt $budget 64 -}}
{{- fail (printf "resources.limits.memory (%s) leaves %d MiB for memory.budget, which needs 64 MiB: 220Mi is the least" $limit $budget) -}}
{{- end -}}
{{ $budget }}MiB
{{- end -}}

{{/* What can't be in `config`, and the value that stands for it. */}}
{{- define "millrace.checkConfig" -}}
{{- if (.admin).listen -}}
{{- fail "config.admin.listen is made of service.port: set that" -}}
{{- else if (.memory).budget -}}
{{- fail "config.memory.budget is made of resources.limits.memory: set that" -}}
{{- else if (.shutdown).grace -}}
{{- fail "config.shutdown.grace is made of drainSeconds: set that" -}}
{{- end -}}
{{- range .pipelines -}}
{{- if hasKey (.source.kafka.options | default dict) "group.instance.id" -}}
{{- fail (printf "config.pipelines, %s: group.instance.id would be one name for all pods, which put each other out of the group then; leave it out: pods of a Deployment have no names that last" .name) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "millrace.config" -}}
{{- include "millrace.checkConfig" .Values.config -}}
{{- $ours := dict
      "admin" (dict "listen" (printf "0.0.0.0:%d" (int .Values.service.port)))
      "memory" (dict "budget" (include "millrace.budget" .))
      "shutdown" (dict "grace" (printf "%ds" (int .Values.drainSeconds))) -}}
{{- mergeOverwrite (deepCopy .Values.config) $ours | toYaml -}}
{{- end -}}

{{/* The container but for its arguments: the service and `millrace check` are started alike. */}}
{{- define "millrace.container" -}}
image: {{ include "millrace.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  capabilities: {drop: [ALL]}
  readOnlyRootFilesystem: true
resources:
  {{- toYaml .Values.resources | nindent 2 }}
{{- with .Values.env }}
env:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.envFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
volumeMounts:
  - name: config
    mountPath: /etc/millrace
    readOnly: true
  {{- if include "millrace.secretName" . }}
  - name: secrets
    mountPath: /run/secrets/millrace
    readOnly: true
  {{- end }}
  {{- with .Values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* What a schema can't compare. */}}
{{- define "millrace.checkRange" -}}
{{- if gt (int .range.minReplicas) (int .range.maxReplicas) -}}
{{- fail (printf "%s.minReplicas (%d) is above %s.maxReplicas (%d)" .name (int .range.minReplicas) .name (int .range.maxReplicas)) -}}
{{- end -}}
{{- end -}}
