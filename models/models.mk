# Included by the Makefile at the root. The peers' Python has models/requirements.txt, too.

.PHONY: models models-check models-exporter
models-exporter:
	cargo build --profile fast -p resonance-simulate --examples

# Trains every model anew; on one kind of processor the files come out the same unless the data or the
# scripts changed. Those that learn from simulations need no data.
models: models-exporter peers
	$(RESONANCE_PEERS_PYTHON) models/tool-wear/train.py
	$(RESONANCE_PEERS_PYTHON) models/molding-quality/train.py
	$(RESONANCE_PEERS_PYTHON) models/coating-anomaly/train.py
	$(RESONANCE_PEERS_PYTHON) models/turbofan-rul/train.py
	$(RESONANCE_PEERS_PYTHON) models/cutting/train.py
	$(RESONANCE_PEERS_PYTHON) models/visual-inspection/train.py

# Computes every figure in the manifests anew from the committed packages: a quarter of an hour, so no
# part of `make test`.
models-check: models-exporter peers
	$(RESONANCE_PEERS_PYTHON) models/check.py $(if $(wildcard ../shared/data),--strict)
