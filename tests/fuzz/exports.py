"""What the ready mappings read: the header of each export, and a row or two."""

EXPORTS: dict[str, str] = {
    "binance_spot": """Date(UTC),Pair,Side,Price,Executed,Amount,Fee
2026-03-02 16:36:56,BTCUSD,BUY,61000.5,0.01BTC,610.005USD,0.5USD
2026-03-02 17:01:10,BTCUSD,SELL,61001,0.01BTC,610.01USD,0.00001BTC
""",
    "coinbase": """Transactions
User,desk,1

ID,Timestamp,Transaction Type,Asset,Quantity Transacted,Price Currency,Price at Transaction,Subtotal,\
Total (inclusive of fees and/or spread),Fees and/or Spread,Notes
a1,2026-03-02 16:57:02 UTC,Buy,BTC,0.25,USD,$61000,$15250,$15260,$10,Bought
""",
    "degiro_transactions": """Datum,Tijd,Product,ISIN,Beurs,Uitvoeringsplaats,Aantal,Koers,,Lokale waarde,,Waarde,,Wisselkoers,\
Transactiekosten,,Totaal,,Order ID
02-03-2026,15:32,ACME CORP,ACME,NDQ,XNAS,10,"268,5000",USD,"-2685,00",USD,"-2476,49",EUR,"1,0842","-1,00",EUR,"-2477,49",EUR,a-1
""",
    "excel_blotter_de": """Nr;Datum;Uhrzeit;H\u00e4ndler;Desk;Paar;Kauf/Verkauf;Betrag;Kurs;Valuta
1;02.03.2026;09:15:00;anna;FX1;EUR/USD;K;1.000.000,00;1,08420;04.03.2026
2;02.03.2026;09:16:30;anna;FX1;EUR/USD;V;250.000,00;1,08435;04.03.2026
""",
    "ibkr_flex_trades": """"ClientAccountID","Symbol","AssetClass","DateTime","Buy/Sell","Quantity","TradePrice","IBCommission",\
"IBCommissionCurrency","CurrencyPrimary","TradeID","Multiplier","SettleDateTarget"
"U1","ACME","STK","20260302;093015","BUY","100","268.5","-1","USD","USD","7001","1","20260303"
"U1","EUR.USD","CASH","20260302;143500","SELL (Ca.)","-150","1.08","-1.0372","USD","USD","7002","1","0000-00-00"
""",
    "kraken_trades": """"txid","ordertxid","pair","time","type","ordertype","price","cost","fee","vol","margin","misc","ledgers"
"T1","O1","XXBTZEUR","2026-03-02 19:43:31.6798","buy","limit",54054.0,100.00,0.18,0.00185,0.00000,"","L1,L2"
"T2","O2","XBTUSDT","2026-03-03 09:00:00.0001","sell","market",55000.00000,50.00,0.09,0.00090909,0.00000,"","L3,L4"
""",
    "mt5_history": """Trade History Report
Account:;1
Time;Position;Symbol;Type;Volume;Price;S / L;T / P;Time;Price;Commission;Swap;Profit
2026.03.02 10:00:00;900001;EURUSD;buy;0.50;1.08420;;;2026.03.02 11:30:00;1.08510;-3.50;0.00;45.00
""",
    "xtb_cash": """ID;Type;Time;Symbol;Comment;Amount
531;Stocks/ETF purchase;02.03.2026 13:01:45;ACME;OPEN BUY 34/42.5658 @ 11.7480;-399.43
533;deposit;02.03.2026 09:00:00;;transfer;1000.00
534;Stocks/ETF sale;03.03.2026 10:00:00;ACME;CLOSE BUY 2/42 @ 11.8000;23.60
""",
}
