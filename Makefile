# On a fresh machine: `make demo` shows the main job, `make test` checks everything. Both make .venv first.
PYTHON ?= python3
BIN := .venv/bin
# of training in `make demo`: as long on every machine, which learns as much in it as it can
MINUTES ?= 5

.PHONY: demo survive notes-demo test test-all lint bench clean

demo: .venv/installed
	$(BIN)/kolossos data prepare --out data/stdlib
	$(BIN)/kolossos train examples/demo.toml --fresh --minutes $(MINUTES)
	$(BIN)/kolossos complete runs/demo "def read_json(path):" --max-tokens 120 --temperature 0.6
	$(BIN)/kolossos eval runs/demo
	@echo "talk with it in a browser, or by the interface of OpenAI: $(BIN)/kolossos serve runs/demo"

# four replicas train, three times one of their processes is killed, and no number changes
survive: .venv/installed
	$(BIN)/kolossos data prepare $$($(BIN)/python -c "import email; print(email.__path__[0])") --vocab-size 1024 \
		--val-fraction 0.03 --out data/survive
	$(BIN)/kolossos chaos examples/survive.toml --run runs/survive --fresh --faults 3 --kinds "a rank killed"

# a synthetic platform with bots: report, ledger, and a page to trade on
notes-demo: .venv/installed
	rm -rf notes-demo
	$(BIN)/kolossos notes demo notes-demo

test: .venv/installed lint
	$(BIN)/pytest -n 2 -m "not slow"

test-all: .venv/installed lint
	$(BIN)/pytest -n 2 --hypothesis-profile new

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --threads 2
	$(BIN)/lint-imports

bench: .venv/installed
	$(BIN)/python benchmarks/train_speed.py

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@

clean:
	rm -rf .venv .bench-venv
