# Included by the Makefile at the root. PEERS_PYTHON: a Python that has models/requirements.txt.
PEERS_PYTHON ?= .cache/peers/bin/python

.PHONY: models models-check models-exporter
models-exporter:
	cargo build --profile fast -p resonance-simulate --example export_cnc

# Trains both models anew; the files come out the same unless the data or the scripts changed.
models: models-exporter
	$(PEERS_PYTHON) models/turbofan-rul/train.py
	$(PEERS_PYTHON) models/tool-wear/train.py

# Computes every stated figure anew from the committed packages.
models-check: models-exporter
	$(PEERS_PYTHON) models/check.py
