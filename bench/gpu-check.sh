#!/usr/bin/env bash
# Does this build compute on a GPU what the original code computed, and how fast?
#
#   bench/gpu-check.sh --pack FILE            On a machine with the .NET SDK; needs no GPU. Writes an archive of at most 60 MiB with
#                                             everything but libtorch in it: this script, the program, its .NET, models, goldens.
#   tar xJf FILE && gpu-check/gpu-check.sh    On a machine with a GPU and a PyTorch installation; needs no .NET and no network.
#
# The check takes some minutes and ends within ten. It prints JSON lines and a verdict, and exits with 0 if that is "passed".
# Its options go to the program (gpu-check/app/gpu-check --help):
#   --torch DIR      a PyTorch installation; default: the one of python3
#   --device NAME    cuda (default), cuda:N, or cpu: the logic of the check without a GPU
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

if [ "${1:-}" = "--pack" ]; then
  [ $# -eq 2 ] || { echo "usage: bench/gpu-check.sh --pack FILE" >&2; exit 2; }
  mkdir -p "$(dirname "$2")"
  root=$(dirname "$here") target=$(realpath "$2") work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  # artifacts of its own: the ordinary build has another libtorch
  dotnet publish "$root/bench/Flamingo.GpuCheck" -c Release -r linux-x64 --self-contained -p:TorchBackend=pytorch -p:DebugType=none \
    -p:GenerateDocumentationFile=false -p:ArtifactsPath="$work/artifacts" -o "$work/gpu-check/app" </dev/null >&2
  # The check serves nothing and is not debugged. Without its list of dependencies the program takes what lies beside it.
  (cd "$work/gpu-check/app" && rm gpu-check.deps.json Microsoft.AspNetCore.*.dll \
      createdump libmscordbi.so libmscordaccore.so libHarfBuzzSharp.so)
  "$work/gpu-check/app/gpu-check" gather "$root/tests/reference" "$root/models/shapes" "$work/gpu-check/data"
  cp "$here/gpu-check.sh" "$work/gpu-check/"
  tar -c -C "$work" gpu-check | xz -T0 -6 > "$target"
  size=$(stat -c %s "$target")
  echo "$target: $((size / 1048576)) MiB" >&2
  [ "$size" -le $((60 * 1048576)) ] || { echo "That is more than 60 MiB." >&2; exit 1; }
  exit 0
fi

if [ ! -x "$here/app/gpu-check" ]; then
  echo "There is no program beside this script. Pack it first: bench/gpu-check.sh --pack FILE, then unpack FILE where the GPU is." >&2
  exit 2
fi
if ! ldconfig -p 2>/dev/null | grep -q libicuuc; then
  echo "There is no ICU here, which tokenizers need for Unicode's normal forms: apt-get install libicu-dev, or your system's libicu." >&2
  exit 2
fi
arguments=("$@")
if [[ " ${arguments[*]-} " != *" --torch "* ]]; then
  folder=$(python3 -c 'import torch; print(torch.__path__[0])') || {
      echo "python3 has no PyTorch here: name an installation with --torch DIR." >&2; exit 2; }
  arguments+=(--torch "$folder")
fi
exec timeout --kill-after=5 600 "$here/app/gpu-check" --data "$here/data" "${arguments[@]}"
