"""The eight layouts of brokers' exports, and the reference data that their rows need."""

EXPORTS = (
    "binance_spot",
    "coinbase",
    "degiro_transactions",
    "excel_blotter_de",
    "ibkr_flex_trades",
    "kraken_trades",
    "mt5_history",
    "xtb_cash",
)

NODES = "node,level,parent\nALL,total,\nFX1,desk,ALL\nFX2,desk,ALL\nEQ1,desk,ALL\n"
INSTRUMENTS = """instrument,kind,base_currency,quote_currency,quantity_decimals,multiplier,expiry
AAPL,equity,,USD,0,1,
US0000000001,equity,,USD,0,1,
SPYL.DE,equity,,EUR,4,1,
ESZ6,future,,USD,0,50,2026-12-18
EURUSD,fx,EUR,USD,2,1,
USDJPY,fx,USD,JPY,2,1,
BTCEUR,crypto,BTC,EUR,10,1,
DOGEEUR,crypto,DOGE,EUR,8,1,
ETHEUR,crypto,ETH,EUR,10,1,
"""
