# `make run` and `make test` do all the set-up by themselves, in .venv; `make help` lists the rest.

# Which Python makes .venv; by default deploy/install.sh looks for one.
PYTHON ?=
# For `make run` and `make bench`, as in: make run ARGS='--workers 4 --mode p2p'
ARGS ?=
# For `make test` and `make quick`, as in: make test PYTEST_ARGS='tests/proxy -x'
PYTEST_ARGS ?=

BIN := .venv/bin
RUNTIME := .venv/.installed-runtime
DEV := .venv/.installed-dev
BENCH := .venv/.installed-bench
SPARK := .venv/.installed-spark
REQUIREMENTS := pyproject.toml constraints.txt
export PYTHON
# Most of what the tests start lives for a second or two: half of that would go into compiling the same files anew.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
# Two installs at once, into one .venv, would spoil it.
.NOTPARALLEL:
.PHONY: help install run test check quick soak soak-bulk soak-jobs soak-spark spark clean
.PHONY: bench bench-bandwidth bench-proxy bench-overload bench-memory bench-leases bench-rollout bench-bulk bench-jobs

help: ## Show these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s%s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

install: $(RUNTIME) ## Make .venv and install what a fleet needs

run: $(RUNTIME) ## Start a fleet on this machine: make run ARGS='--workers 4'
	$(BIN)/tfleet up $(ARGS)

test: check ## Check the code, then run all tests with coverage (minutes)
	mkdir -p build/coverage
	$(BIN)/coverage erase
ifeq ($(PYTEST_ARGS),) # what is started in the second and third step is not measured: it covers no more
	$(BIN)/coverage run -m pytest -n 2 -m 'not fleet and not clone and not compose and not spark'
	$(BIN)/python -m pytest -n 3 --dist loadgroup -m 'fleet or clone'
	$(BIN)/coverage run -m pytest -m spark # three minutes; nothing without `make spark` and Java
	$(BIN)/python -m pytest -m compose # three minutes, and two more to build the images; nothing without Docker
else
	$(BIN)/coverage run -m pytest $(PYTEST_ARGS)
endif
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report
ifeq ($(PYTEST_ARGS),) # a part of the tests covers only a part; worker and bulk run in processes that are not measured
	@for package in contract runtime discovery jobs proxy client; do \
	    echo "branches and lines of $$package covered, in percent:"; \
	    $(BIN)/coverage report --include="*/$$package/*" --fail-under=90 --format=total || exit 1; \
	done
endif

check: $(DEV) ## ruff, mypy --strict and the import rules
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

spark: $(SPARK) ## Add Spark to .venv, so that `make test` has its tests, too (half a minute)

# Three at a time: many of them wait for sockets, but each process takes six seconds to import and collect them.
quick: $(DEV) ## The tests that start no processes and load no TensorFlow (about a minute)
	$(BIN)/python -m pytest -n 3 -m 'not fleet and not process and not clone and not compose and not spark' $(PYTEST_ARGS)

soak: soak-bulk soak-jobs soak-spark ## What test runs do with small numbers, with large ones (half an hour)

soak-bulk: $(DEV) ## 3,000,000 rows scored from CSV and Parquet, killed ten times (a quarter of an hour)
	TFLEET_SOAK_ROWS=3000000 TFLEET_SOAK_KILLS=10 $(BIN)/python -m pytest tests/bulk/test_kills.py

# The test of it in `make test` has a thousand jobs.
soak-jobs: $(DEV) ## 100,000 jobs while workers, the proxy and Redis are killed in turn (ten minutes; needs redis-server)
	$(BIN)/python -m tests.support.job_faults $(ARGS)

soak-spark: $(SPARK) ## A Spark of processes that runs a task twice at once (two minutes; needs Java)
	TFLEET_SOAK_SPARK=1 SPARK_REQUIRED=true $(BIN)/python -m pytest -m spark tests/bulk/spark/test_score_on_spark.py

bench: $(BENCH) ## Measure a worker, its peers and TensorFlow itself (ten minutes): make bench ARGS='--help'
	$(BIN)/python -m benchmarks.worker $(ARGS)

bench-bandwidth: $(BENCH) ## What p2p mode takes off the proxy's link, between shaped namespaces (root; three minutes)
	$(BIN)/python -m benchmarks.p2p.bandwidth $(ARGS)

bench-proxy: $(BENCH) ## What a proxied request costs, beside nginx, HAProxy and Node (ten minutes)
	$(BIN)/python -m benchmarks.proxy $(ARGS)

bench-overload: $(BENCH) ## What a worker does with twice what it can take (two minutes)
	$(BIN)/python -m benchmarks.worker.overload $(ARGS)

bench-memory: $(BENCH) ## Whether a worker grows with the requests that it has served (five minutes)
	$(BIN)/python -m benchmarks.worker.memory $(ARGS)

bench-leases: $(BENCH) ## What p2p through the Python client costs (two minutes)
	$(BIN)/python -m benchmarks.p2p.leases $(ARGS)

bench-bulk: $(BENCH) ## What bulk runs cost beside Keras, a worker and Spark (15 minutes): make bench-bulk ARGS=rows
	$(BIN)/python -m benchmarks.bulk $(ARGS)

bench-rollout: $(BENCH) ## Whether rollouts lose a request, keep their shares and survive faults (15 minutes)
	$(BIN)/python -m benchmarks.rollout $(ARGS)

bench-jobs: $(BENCH) ## What a call that waits in the queue costs, beside a direct one and the usual list (two minutes)
	$(BIN)/python -m benchmarks.jobs $(ARGS)

clean: ## Remove .venv and all that was built, cached or measured
	rm -rf .venv build dist src/*.egg-info .coverage .coverage.* htmlcov
	rm -rf .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(RUNTIME): $(REQUIREMENTS)
	@bash deploy/install.sh '.[worker,proxy,client]' $@

$(SPARK): $(REQUIREMENTS)
	@bash deploy/install.sh '.[dev,spark]' $@ $(DEV) $(RUNTIME)

# What the tests need is all that a fleet needs, and more.
$(DEV): $(REQUIREMENTS)
	@bash deploy/install.sh '.[dev]' $@ $(RUNTIME)

$(BENCH): $(REQUIREMENTS)
	@bash deploy/install.sh '.[bench]' $@ $(RUNTIME)
