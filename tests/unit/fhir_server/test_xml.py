"""Resources between JSON and XML: literal JSON and literal XML, either way, and what is refused with its place."""

from __future__ import annotations

import json

import pytest

from chartloop.kernel.errors import ChartloopError, Invalid, Unprocessable
from fhir_server.json_tree import canonical, read_tree
from fhir_server.validation.resources import validate
from fhir_server.xml.reading import xml_to_json
from fhir_server.xml.writing import json_to_xml

HEAD = '<?xml version="1.0" encoding="UTF-8"?>'
DIV = '<div xmlns="http://www.w3.org/1999/xhtml">'

SAME = [
    (
        '{"resourceType":"Patient","id":"p1","active":true,"name":[{"family":"O\\"Neil & <Sons>","given":["Ann","Lee"]}],"birthDate":"1970-03-30"}',
        ('<Patient xmlns="http://hl7.org/fhir"><id value="p1"/><active value="true"/><name><family value="O&quot;Neil &amp; &lt;Sons>"/><given value="Ann"/>'
        '<given value="Lee"/></name><birthDate value="1970-03-30"/></Patient>'),
    ),
    (
        '{"resourceType":"Patient","birthDate":"1970-03-30","_birthDate":{"id":"314159","extension":[{"url":"urn:text","valueString":"Easter 1970"}]}}',
        ('<Patient xmlns="http://hl7.org/fhir"><birthDate id="314159" value="1970-03-30"><extension url="urn:text"><valueString value="Easter 1970"/>'
        "</extension></birthDate></Patient>"),
    ),
    (
        '{"resourceType":"Patient","name":[{"id":"n1","given":["Ann",null,"Lee"],"_given":[null,{"extension":[{"url":"urn:masked","valueBoolean":true}]},{"id":"g"}]}]}',
        ('<Patient xmlns="http://hl7.org/fhir"><name id="n1"><given value="Ann"/><given><extension url="urn:masked"><valueBoolean value="true"/></extension></given>'
        '<given id="g" value="Lee"/></name></Patient>'),
    ),
    (
        '{"resourceType":"Patient","_gender":{"extension":[{"url":"urn:absent","valueCode":"unknown"}]},"name":[{"_given":[{"extension":[{"url":"urn:x","valueInteger":-3}]}]}]}',
        None,  # the order of the definitions: name before gender
    ),
    (
        '{"resourceType":"Observation","status":"final","code":{"text":"weight"},"valueQuantity":{"value":72.50,"unit":"kg"},"referenceRange":[{"low":{"value":1E+2}}]}',
        ('<Observation xmlns="http://hl7.org/fhir"><status value="final"/><code><text value="weight"/></code><valueQuantity><value value="72.50"/><unit value="kg"/>'
        '</valueQuantity><referenceRange><low><value value="1E+2"/></low></referenceRange></Observation>'),
    ),
    (
        ('{"resourceType":"Patient","text":{"status":"generated","div":"<div xmlns=\\"http://www.w3.org/1999/xhtml\\"><p>a &lt; b,\\u00a0&#160; <b >c</b ><br/><!-- x --></p>\\n</div>"},'
        '"contained":[{"resourceType":"Organization","id":"o"}]}'),
        (f'<Patient xmlns="http://hl7.org/fhir"><text><status value="generated"/>{DIV}<p>a &lt; b,\u00a0&#160; <b >c</b ><br/><!-- x --></p>\n</div></text>'
        '<contained><Organization><id value="o"/></Organization></contained></Patient>'),
    ),
    (
        ('{"resourceType":"Bundle","type":"batch","total":2,"entry":[{"fullUrl":"urn:uuid:1","resource":{"resourceType":"Parameters","parameter":[{"name":"a",'
        '"resource":{"resourceType":"Patient","active":false}}]},"request":{"method":"POST","url":"Patient"}},{"response":{"status":"200"}}]}'),
        ('<Bundle xmlns="http://hl7.org/fhir"><type value="batch"/><total value="2"/><entry><fullUrl value="urn:uuid:1"/><resource><Parameters><parameter><name value="a"/>'
        '<resource><Patient><active value="false"/></Patient></resource></parameter></Parameters></resource><request><method value="POST"/><url value="Patient"/></request></entry>'
        '<entry><response><status value="200"/></response></entry></Bundle>'),
    ),
    (
        '{"resourceType":"ExampleScenario","status":"draft","instance":[{"resourceId":"i","resourceType":"Patient"}]}',
        '<ExampleScenario xmlns="http://hl7.org/fhir"><status value="draft"/><instance><resourceId value="i"/><resourceType value="Patient"/></instance></ExampleScenario>',
    ),
    (
        '{"resourceType":"Communication","payload":[{"contentString":"two\\nlines\\tand \\u00fc \\ud83d\\ude00"}]}',
        '<Communication xmlns="http://hl7.org/fhir"><payload><contentString value="two&#10;lines&#9;and ü 😀"/></payload></Communication>',
    ),
]


@pytest.mark.conformance("FHIR R4: XML", "primitives with id and extension, arrays with gaps, choices, contained, narrative, Bundle and Parameters: the same in JSON and in XML")
@pytest.mark.parametrize(("said", "written"), SAME)
def test_a_resource_is_the_same_in_json_and_in_xml(said: str, written: str | None) -> None:
    made = json_to_xml(said.encode()).decode()
    if written is not None:
        assert made == HEAD + written
    read = xml_to_json(made.encode())
    assert canonical(read_tree(read)) == canonical(read_tree(said.encode()))
    assert xml_to_json(json_to_xml(said.encode(), pretty=True)) == read
    assert json_to_xml(read).decode() == made


@pytest.mark.conformance("FHIR R4: XML", "a resource whose elements are in the order of the definitions becomes the very bytes of its JSON")
def test_xml_in_order_becomes_the_bytes_that_json_would_be() -> None:
    for said, written in SAME:
        if written is not None:
            assert xml_to_json(written.encode()) == said.encode().replace(b"\\u00a0", "\u00a0".encode()).replace(b"\\u00fc \\ud83d\\ude00", "ü 😀".encode())


@pytest.mark.conformance("FHIR R4: XML", "elements come in the order of the definitions, whatever the order in JSON")
def test_the_order_is_that_of_the_definitions() -> None:
    made = json_to_xml(b'{"birthDate":"1970","_gender":{"id":"g"},"name":[{"given":["A"],"family":"B"}],"id":"x","resourceType":"Patient"}').decode()
    assert made == f'{HEAD}<Patient xmlns="http://hl7.org/fhir"><id value="x"/><name><family value="B"/><given value="A"/></name><gender id="g"/><birthDate value="1970"/></Patient>'


@pytest.mark.conformance("FHIR R4: XML", "_pretty lays XML out and leaves the narrative as it is")
def test_pretty_xml_has_a_line_for_each_element_and_the_narrative_as_it_is() -> None:
    said = b'{"resourceType":"Patient","text":{"status":"generated","div":"<div xmlns=\\"http://www.w3.org/1999/xhtml\\">a <b>b</b></div>"},"active":true}'
    assert json_to_xml(said, pretty=True).decode() == (
        f'{HEAD}\n<Patient xmlns="http://hl7.org/fhir">\n  <text>\n    <status value="generated"/>\n    {DIV}a <b>b</b></div>\n  </text>\n  <active value="true"/>\n</Patient>'
    )


@pytest.mark.conformance("FHIR R4: XML", "HTML's named entities in a stored narrative become characters in XML, which knows no names for them")
def test_named_entities_of_a_narrative_become_characters() -> None:
    div = f'{DIV}<a title="&QUOT;&LT;&AMP;&eacute;">caf&eacute;</a>&nbsp;&amp; &nosuchname; <![CDATA[&eacute;]]><!-- &eacute; --></div>'
    made = json_to_xml(json.dumps({"resourceType": "Patient", "text": {"status": "generated", "div": div}}).encode()).decode()
    assert f'{DIV}<a title="&quot;&lt;&amp;é">café</a>\u00a0&amp; &amp;nosuchname; <![CDATA[&eacute;]]><!-- &eacute; --></div>' in made
    xml_to_json(made.encode())


@pytest.mark.conformance("FHIR R4: XML", "a character that XML cannot hold is written as U+FFFD")
def test_a_character_that_xml_cannot_hold_is_replaced() -> None:
    made = json_to_xml(b'{"resourceType":"Patient","name":[{"text":"a\\u0001b\\uffff\\r"}]}')
    assert '<text value="a\ufffdb\ufffd&#13;"/>'.encode() in made
    xml_to_json(made)


@pytest.mark.conformance("FHIR R4: XML", "prefixes, comments, processing instructions, schemaLocation and white space between elements are read and say nothing")
def test_what_says_nothing_is_read_over() -> None:
    said = (
        '<?xml version="1.0" encoding="utf-8" standalone="yes"?><!-- a --><?xml-stylesheet href="x"?>\n<f:Patient xmlns:f="http://hl7.org/fhir" xmlns:h="http://www.w3.org/1999/xhtml" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="http://hl7.org/fhir patient.xsd">\r\n <f:text><f:status value=\'generated\'></f:status>\n'
        '<h:div><h:p title="a>b">x</h:p></h:div></f:text><!-- b --><f:active value="true"/></f:Patient>\n<!-- c -->'
    )
    read = xml_to_json(said.encode())
    assert json.loads(read) == {
        "resourceType": "Patient",
        "text": {"status": "generated", "div": '<h:div xmlns:h="http://www.w3.org/1999/xhtml"><h:p title="a>b">x</h:p></h:div>'},
        "active": True,
    }
    assert validate(read).type == "Patient"
    default = '<f:Patient xmlns:f="http://hl7.org/fhir" xmlns="http://www.w3.org/1999/xhtml"><f:text><f:status value="empty"/><div title="1>0"/></f:text></f:Patient>'
    assert json.loads(xml_to_json(default.encode()))["text"]["div"] == '<div xmlns="http://www.w3.org/1999/xhtml" title="1>0"/>'


def _patient(inside: str) -> bytes:
    return f'<Patient xmlns="http://hl7.org/fhir">\n{inside}</Patient>'.encode()


REFUSED = [
    (_patient("<colour value='red'/>"), "Patient.colour", "line 2, column 1: Patient has no such element"),
    (_patient("<active value='true' colour='red'/>"), "Patient.active", "line 2, column 1: there is no such attribute: colour"),
    (_patient("<name><given value='A'/><given value='B' b='1'/></name>"), "Patient.name[0].given[1]", "line 2, column 25: there is no such attribute: b"),
    (_patient("<gender value='male'/><active value='true'/>"), "Patient.active", "line 2, column 23: is out of order: it must come before gender"),
    (_patient("<name><text value='a'/></name><active value='true'/><name/>"), "Patient.active", "line 2, column 31: is out of order: it must come before name"),
    (_patient("<active value='true'/><active value='true'/>"), "Patient.active", "line 2, column 23: may come only once"),
    (_patient("<deceasedBoolean value='true'/><deceasedDateTime value='2020'/>"), "Patient.deceased", "line 2, column 32: only one of the types of deceased[x] may be given"),
    (_patient("<name/>"), "Patient.name[0]", "line 2, column 8: must not be empty"),
    (_patient("<birthDate/>"), "Patient.birthDate", "line 2, column 13: must have a value or an extension"),
    (_patient("<birthDate value=' '/>"), "Patient.birthDate", "line 2, column 1: the attribute value must not be empty"),
    (_patient("<active value='yes'/>"), "Patient.active", "line 2, column 1: must be true or false"),
    (_patient("<multipleBirthInteger value='1.5'/>"), "Patient.multipleBirth", "line 2, column 1: must be a whole number"),
    (_patient("<extension url='u'><valueDecimal value='1,5'/></extension>"), "Patient.extension[0].value", "line 2, column 20: must be a number"),
    (_patient("<extension url='u'><valueDecimal value='NaN'/></extension>"), "Patient.extension[0].value", "line 2, column 20: must be a number"),
    (_patient("<name>text<family value='x'/></name>"), "Patient.name[0]", "line 2, column 7: there must be no text between elements"),
    (_patient("<active value='true'>text</active>"), "Patient.active", "line 2, column 22: there must be no text between elements"),
    (_patient("<active value='true'><name/></active>"), "Patient.active.name", "line 2, column 22: Element has no such element"),
    (_patient("<active xmlns='urn:x' value='true'/>"), "Patient.active", "line 2, column 1: Patient has no such element in this namespace"),
    (_patient("<text><status value='empty'/><div>x</div></text>"), "Patient.text.div", "line 2, column 30: Narrative has no such element"),
    (_patient("<div xmlns='http://www.w3.org/1999/xhtml'>x</div>"), "Patient.div", "line 2, column 1: Patient has no such element in this namespace"),
    (_patient("<contained><Organization/><Organization/></contained>"), "Patient.contained[0]", "line 2, column 27: must hold one R4 resource"),
    (_patient("<contained><Colour/></contained>"), "Patient.contained[0]", "line 2, column 12: must hold one R4 resource"),
    (_patient("<contained id='c'/>"), "Patient.contained[0]", "line 2, column 1: there is no such attribute: id"),
    (b'<Patient xmlns="http://hl7.org/fhir" id="x"><active value="true"/></Patient>', "Patient", "line 1, column 1: there is no such attribute: id"),
]  # fmt: skip


@pytest.mark.conformance("FHIR R4: XML", "unknown, repeated, misplaced and empty elements, unknown attributes, text and wrong values are refused with path, line and column")
@pytest.mark.parametrize(("body", "where", "why"), REFUSED)
def test_what_is_no_fhir_is_refused_with_its_place(body: bytes, where: str, why: str) -> None:
    with pytest.raises(Unprocessable) as refused:
        xml_to_json(body)
    assert (refused.value.issues[0].expression, refused.value.issues[0].text) == (where, why)


def test_every_place_is_named_up_to_a_hundred() -> None:
    with pytest.raises(Unprocessable) as refused:
        xml_to_json(_patient("<colour><deep/></colour><active value='1'/><gender value='male' x='1'/>"))
    assert [issue.expression for issue in refused.value.issues] == ["Patient.colour", "Patient.active", "Patient.gender"]
    with pytest.raises(Unprocessable) as refused:
        xml_to_json(_patient("<colour/>" * 5000))
    assert len(refused.value.issues) == 100


BOMB = "<!DOCTYPE p [<!ENTITY a 'ha'>" + "".join(f"<!ENTITY {b} '{f'&{a};' * 10}'>" for a, b in zip("abcdefghi", "bcdefghij", strict=True)) + "]>"
UNREADABLE = [
    (b"", "line 1, column 1: the body is not XML: no element found"),
    (b"{}", "line 1, column 1: the body is not XML: not well-formed (invalid token)"),
    (b"<Patient", "line 1, column 1: the body is not XML: unclosed token"),
    (b'<Patient xmlns="http://hl7.org/fhir"><active value="true"/>', "the body is not XML: no element found"),
    (b'<Patient xmlns="http://hl7.org/fhir"/><Patient xmlns="http://hl7.org/fhir"/>', "line 1, column 39: the body is not XML: junk after document element"),
    (_patient("<active value='true' value='true'/>"), "the body is not XML: duplicate attribute"),
    (_patient("<active value='&nbsp;'/>"), "the body is not XML: undefined entity"),
    (_patient("<active value='&#0;'/>"), "the body is not XML: reference to invalid character number"),
    (_patient("<active value='&#xD800;'/>"), "the body is not XML: reference to invalid character number"),
    (_patient("<x:active value='true'/>"), "the body is not XML: unbound prefix"),
    (b'<Patient xmlns="http://hl7.org/fhir"><id value="\xff"/></Patient>', "the body is not XML: not well-formed (invalid token)"),
    (b'<Patient xmlns="http://hl7.org/fhir"><id value="\xed\xa0\x80"/></Patient>', "the body is not XML: not well-formed (invalid token)"),
    (b'<Patient xmlns="http://hl7.org/fhir"><id value="\xc0\xaf"/></Patient>', "the body is not XML: not well-formed (invalid token)"),
    (b'\xef\xbb\xbf<Patient xmlns="http://hl7.org/fhir"/>', "the body starts with a byte order mark"),
    ('<Patient xmlns="http://hl7.org/fhir"/>'.encode("utf-16"), "the body starts with a byte order mark"),
    ('<Patient xmlns="http://hl7.org/fhir"/>'.encode("utf-16-le"), "the body is not UTF-8"),
    ('<?xml version="1.0" encoding="utf-16"?><Patient xmlns="http://hl7.org/fhir"/>'.encode("utf-16-be"), "the body is not UTF-8"),
    ('<Patient xmlns="http://hl7.org/fhir"/>'.encode("utf-32"), "the body starts with a byte order mark"),
    (b'<?xml version="1.0" encoding="ISO-8859-1"?><Patient xmlns="http://hl7.org/fhir"/>', "line 1, column 1: the encoding must be UTF-8"),
    (b'<!DOCTYPE Patient><Patient xmlns="http://hl7.org/fhir"/>', "a document type is not permitted"),
    (f'{BOMB}<Patient xmlns="http://hl7.org/fhir"><id value="&j;"/></Patient>'.encode(), "a document type is not permitted"),
    (b'<!DOCTYPE p SYSTEM "file:///etc/passwd"><p>&x;</p>', "a document type is not permitted"),
    (b'<!DOCTYPE p [<!ENTITY x SYSTEM "file:///etc/passwd">]><Patient xmlns="http://hl7.org/fhir"/>', "a document type is not permitted"),
    (b'<!DOCTYPE p [<!ENTITY % x SYSTEM "http://127.0.0.1/x.dtd"> %x;]><p/>', "a document type is not permitted"),
    (b'<Patient xmlns="http://hl7.org/fhir"><!DOCTYPE p></Patient>', "the body is not XML: not well-formed (invalid token)"),
    (b"<Patient/>", "line 1, column 1: the root must be an R4 resource in the namespace http://hl7.org/fhir"),
    (b'<Patient xmlns="http://hl7.org/fhir/"/>', "line 1, column 1: the root must be an R4 resource in the namespace http://hl7.org/fhir"),
    (b'<Colour xmlns="http://hl7.org/fhir"/>', "line 1, column 1: the root must be an R4 resource in the namespace http://hl7.org/fhir"),
    (b'<HumanName xmlns="http://hl7.org/fhir"/>', "line 1, column 1: the root must be an R4 resource in the namespace http://hl7.org/fhir"),
    (_patient("<extension url='u'>" * 2_000_000), "XML nested deeper than 128 levels"),
    (_patient(f"<text><status value='empty'/>{DIV}{'<b>' * 1_000_000}</div></text>"), "XML nested deeper than 128 levels"),
    (_patient("<colour>" * 1_000_000), "XML nested deeper than 128 levels"),
    (_patient("<name " + " ".join(f"xmlns:a{number}='http://www.w3.org/1999/xhtml'" for number in range(101)) + "/>"), "more than 100 namespaces are declared at once"),
]  # fmt: skip


@pytest.mark.conformance("Attacks", "91: what is no xml or not for us is refused")
@pytest.mark.conformance("Attacks", "XML: billion laughs, external entities, document types, depth bombs, wrong encodings and namespaces are refused")
@pytest.mark.parametrize(("body", "why"), UNREADABLE, ids=range(len(UNREADABLE)))
def test_what_is_no_xml_or_not_for_us_is_refused(body: bytes, why: str) -> None:
    with pytest.raises(Invalid) as refused:
        xml_to_json(body)
    assert refused.value.issues[0].text.endswith(why)


@pytest.mark.conformance("Attacks", "XML: five million bytes of attributes, text, comments or elements are read or refused without more")
@pytest.mark.parametrize(
    "body",
    [
        _patient(f"<active value='{'x' * 5_000_000}'/>"),
        _patient("<active " + " ".join(f"a{number}='1'" for number in range(400_000)) + "/>"),
        _patient("<active " + " ".join(f"xmlns:a{number}='u'" for number in range(200_000)) + " value='1'/>"),
        _patient(f"<active {'a' * 5_000_000}='1'/>"),
        _patient("x" * 5_000_000),
        _patient("<name><text value='1'/></name>" * 100_000 + "<colour/>"),
        _patient(f"<{'a' * 5_000_000}/>"),
        _patient("<x xmlns='u'/>" * 300_000),
        _patient(f"<text><status value='empty'/><div xmlns='http://www.w3.org/1999/xhtml' {'&' * 5_000_000}"),
        _patient("&amp;" * 1_000_000),
        b"<" * 5_000_000,
        b"<!--" + b"-" * 5_000_000,
    ],
    ids=range(12),
)
def test_large_bodies_are_refused_by_our_own_errors(body: bytes) -> None:
    with pytest.raises(ChartloopError):
        xml_to_json(body)
