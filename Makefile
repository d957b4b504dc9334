# Every target is a plain command that also works by hand.
export CGO_ENABLED = 0
TOOLS = go tool -modfile=tools/go.mod
FUZZTIME ?= 10s

.PHONY: build test integration lint fuzz bench clean

build:
	go build -trimpath -ldflags='-s -w' -o bin/debut ./cmd/debut

test:
	go test ./...

# Runs what needs real parts: S3, SQS, clients of Elasticsearch, DuckDB. Installs them.
integration:
	./scripts/integration

lint:
	$(TOOLS) golangci-lint run ./...
	$(TOOLS) govulncheck ./...

# Runs every fuzz target for FUZZTIME.
fuzz:
	./scripts/fuzz $(FUZZTIME)

# Measures the figures of docs/benchmarks.md; see there for BENCH_RECORDS and BENCH_DATA.
bench:
	./scripts/bench

clean:
	rm -rf bin dist
