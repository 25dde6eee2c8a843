#!/bin/sh
# Puts the protos of others that the schema imports into .protos, from pinned packages:
# google/* from the installed googleapis-common-protos, buf/validate from the sdist of protovalidate.
set -eu
cd "$(dirname "$0")/.."

fresh=.protos.new
rm -rf "$fresh" .cache/protos
mkdir -p "$fresh/google/api" "$fresh/google/rpc" "$fresh/buf/validate" .cache/protos

installed=$(.venv/bin/python -P -c 'import google.api.annotations_pb2 as a, pathlib; print(pathlib.Path(a.__file__).parents[1])')
for name in api/annotations api/field_behavior api/http api/httpbody rpc/code rpc/error_details rpc/status; do
	cp "$installed/$name.proto" "$fresh/google/$name.proto"
done

.venv/bin/python -m pip --disable-pip-version-check download --quiet --no-deps --no-build-isolation \
	--no-binary :all: --require-hashes --dest .cache/protos -r requirements/protos.txt
tar -xzf .cache/protos/protovalidate-*.tar.gz -C .cache/protos
cp .cache/protos/protovalidate-*/upstream/proto/buf/validate/validate.proto "$fresh/buf/validate/"

rm -rf .protos .cache/protos
mv "$fresh" .protos
