"""riskengine: position, P&L, exposure and Greeks of a dealing desk, right now."""

__version__ = "0.1.0"
