#!/usr/bin/env bash
# Asks the service by OpenAI's protocol with curl.
set -euo pipefail
server=$1/v1 # http://localhost:8081
pictures=models/shapes/examples

# Takes the value of one text field out of JSON, for machines without jq.
field() { grep -o "\"$1\":\"[^\"]*\"" | head -1 | cut -d '"' -f 4; }

# 1. What is served here?
echo "model: $(curl -fsS "$server/models" | field id)"

# 2. A picture as a data URL. A picture alone asks for a caption.
data=$(base64 -w0 $pictures/caption-query.png)
answer=$(curl -fsS "$server/chat/completions" -H 'Content-Type: application/json' -d '{"messages": [{"role": "user", "content": [
  {"type": "image_url", "image_url": {"url": "data:image/png;base64,'"$data"'"}}]}]}')
echo "caption: $(field content <<< "$answer")"

# 3. A file is sent once. Its id, the SHA-256 of the file, stands for it in every later request.
id=$(curl -fsS "$server/files" -F purpose=vision -F file=@$pictures/vqa-query.png | field id)
echo "file: $id"

# 4. A question about it, streamed: each event is a piece of the answer. -N switches off curl's own buffer.
curl -fsSN "$server/chat/completions" -H 'Content-Type: application/json' -d '{"stream": true, "messages": [
  {"role": "user", "content": [{"type": "file", "file": {"file_id": "'"$id"'"}}, {"type": "text", "text": "what color is the cross?"}]}]}' |
  while read -r event; do
    case $event in
      'data: [DONE]') echo "the end" ;;
      'data: '*) echo "event: '$(field content <<< "$event" || true)'" ;;
    esac
  done
