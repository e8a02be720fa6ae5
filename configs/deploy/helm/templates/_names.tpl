{{- define "pedigree.labels" -}}
app.kubernetes.io/name: pedigree
app.kubernetes.io/component: server
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "pedigree.image" -}}
{{ .Values.image.repository }}{{ with .Values.image.digest }}@{{ . }}{{ else }}:{{ .Values.image.tag }}{{ end }}
{{- end }}

{{- define "pedigree.settings" -}}
PUBLIC_HOST: {{ .Values.publicHost | quote }}
PEDIGREE_ACTOR: {{ .Values.admin | quote }}
PEDIGREE_REGISTRY: {{ .Values.registry | default "/var/lib/pedigree" | quote }}
{{- with .Values.store }}
PEDIGREE_STORE: {{ . | quote }}
{{- end }}
{{- end }}

{{- define "pedigree.envFrom" -}}
- configMapRef: {name: {{ .Release.Name }}}
- secretRef: {name: {{ .Release.Name }}-store, optional: true}
{{- end }}

{{- define "pedigree.locked" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "pedigree.password" -}}
- name: PGPASSWORD
  valueFrom: {secretKeyRef: {name: {{ .Release.Name }}-db, key: password}}
{{- end }}

{{- define "pedigree.mounts" -}}
{{- if not .Values.registry }}
- {name: data, mountPath: /var/lib/pedigree}
{{- end }}
- {name: tmp, mountPath: /tmp}
{{- if .Values.issuersSecret }}
- {name: issuers, mountPath: /etc/pedigree, readOnly: true}
{{- end }}
{{- end }}
