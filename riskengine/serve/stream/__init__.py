"""Websockets: who is sent what and when; publishers in."""
