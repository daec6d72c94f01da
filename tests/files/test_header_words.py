"""What the words of headers mean, in six languages."""

import pytest

from riskengine.files.drafts.header_words import LANGUAGES, fold, languages_of, meanings


def field_of(header: str) -> str:
    found = meanings(header)
    return found[0].field if found else ""


@pytest.mark.parametrize(
    ("header", "folded"),
    [
        ("TradePrice", "trade price"),
        ("IBCommissionCurrency", "ib commission currency"),
        ("Währung", "wahrung"),
        ("Großer Betrag", "grosser betrag"),
        ("Date d'opération", "date d operation"),
        ("  S / L ", "s l"),
        ("№", "no"),
    ],
)
def test_a_header_is_folded_to_plain_words(header, folded):
    assert fold(header) == folded


@pytest.mark.parametrize(
    ("header", "field"),
    [
        ("Quantity", "quantity"),
        ("Stückzahl", "quantity"),
        ("Quantité", "quantity"),
        ("Aantal", "quantity"),
        ("Cantidad", "quantity"),
        ("Quantità", "quantity"),
        ("BuySell", "side"),
        ("Kauf/Verkauf", "side"),
        ("Date de valeur", "value_date"),
        ("Trade Price (USD)", "price"),
        ("Handelsgebühr", "fees"),
    ],
)
def test_a_header_has_the_meaning_of_its_words(header, field):
    assert field_of(header) == field


def test_the_very_words_are_stronger_than_words_among_others():
    alone, among = meanings("Price")[0], meanings("Price of the last fill that day")[0]
    assert alone.strength == 1 > among.strength


def test_strange_words_have_no_meaning():
    assert meanings("Xyzzy 17") == []
    assert meanings("") == []


def test_a_word_that_no_record_has_a_column_for_says_so():
    assert meanings("Wechselkurs")[0].unused


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_words_for_what_a_trade_needs(language):
    headers = {
        "en": ["Trade ID", "Date", "Symbol", "Side", "Quantity", "Price", "Commission"],
        "de": ["Geschäftsnummer", "Handelsdatum", "Wertpapier", "Geschäftsart", "Stück", "Kurs", "Provision"],
        "fr": ["N° d'opération", "Date d'opération", "Titre", "Sens", "Quantité", "Cours", "Frais"],
        "nl": ["Transactienummer", "Transactiedatum", "Fonds", "Koop/Verkoop", "Aantal", "Koers", "Kosten"],
        "es": ["Nº operación", "Fecha operación", "Título", "Compra/Venta", "Cantidad", "Precio", "Comisión"],
        "it": ["Numero operazione", "Data operazione", "Titolo", "Segno", "Quantità", "Prezzo", "Commissioni"],
    }[language]
    found = [{meaning.field for meaning in meanings(header) if meaning.language == language} for header in headers]
    wanted = ["trade_id", "date", "instrument", "side", "quantity", "price", "fees"]
    assert [name for name, fields in zip(wanted, found, strict=True) if name not in fields] == []
    assert max(languages_of(headers).items(), key=lambda pair: pair[1])[0] == language
