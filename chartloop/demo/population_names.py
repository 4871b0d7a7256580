"""Invented names and places."""

from __future__ import annotations

# Given name, family name, administrative gender. The first ones exercise letters outside of ASCII.
PEOPLE: tuple[tuple[str, str, str], ...] = (
    ("Zoë", "Müller-Łukasz", "female"),
    ("Søren", "Bjørnquell", "male"),
    ("Nguyệt", "Trầnhollow", "female"),
    ("José", "Ñandúvera", "male"),
    ("Siobhán", "O'Ferrivale", "female"),
    ("Tamsin", "Quillbrook", "female"),
    ("Orrin", "Haldermoss", "male"),
    ("Delphine", "Arrowsedge", "female"),
    ("Barnaby", "Thistlecombe", "male"),
    ("Ingrid", "Copperwain", "female"),
    ("Leopold", "Fenmarrow", "male"),
    ("Marisol", "Vantergast", "female"),
    ("Cedric", "Oakenshale", "male"),
    ("Wilhelmina", "Starkweth", "female"),
    ("Ignatius", "Rowanfell", "male"),
    ("Priya", "Sandalwick", "female"),
    ("Desmond", "Greyharrow", "male"),
    ("Octavia", "Pellingrove", "female"),
    ("Rufus", "Underhallow", "male"),
    ("Beatrix", "Larkenfield", "female"),
    ("Mateus", "Ashdelver", "male"),
    ("Yolanda", "Brightwater-Nkemi", "female"),
    ("Percival", "Dunmarsh", "male"),
    ("Annelise", "Hollowquist", "female"),
    ("Gideon", "Marrowick", "male"),
    ("Soraya", "Tindlebrand", "female"),
    ("Ambrose", "Kettleworth", "male"),
    ("Linnea", "Frostgard", "female"),
    ("Thaddeus", "Merrivane", "male"),
    ("Calista", "Wyndemere-Roe", "female"),
)
STREETS = ("Juniper Hollow Rd", "Prairie View Ave", "Old Mill Ln", "Harbor Lantern St", "Cottonwood Ct", "Bluestem Way", "Quarry Ridge Dr")
TOWNS = (("Meadowbend", "IL", "62799"), ("Cedar Hollow", "IL", "61999"), ("Larkspur Falls", "IA", "52999"))
