"""Messages of one visit, as literals."""

_MSH = "MSH|^~\\&|EHR|HILL|CHARTLOOP|HUB|{time}-0500||{type}|{id}|P|2.5.1||||||UNICODE UTF-8\r"
_PID = "PID|1||100^^^HILL^MR||Müller-Łukasz^Zoë^Q^^^^L||19800229|F|||1 Elm St^^Springfield^IL^62701^US^H||^PRN^PH^^1^217^5550100|^WPN^PH^^1^217^5550101||M\r"
_PV1 = "PV1|1|O|CLINIC^3^B^HILL||||1234567893^Okafor^Ada^^^Dr^^^NPI^L^^^NPI|||{service}|||||||||V100^^^HILL^VN|||||||||||||||||||||||||20261102080000-0500{end}\r"
_IN1 = "IN1|1|PPO^Gold PPO|P1|Prairie Mutual||||||||20260101||||Müller-Łukasz^Zoë|SEL|19800229||||||||||||||||||W123456\r"


def message(kind, control_id, *segments, time="20261102080000", evn=""):
    return (
        _MSH.format(time=time, type=kind, id=control_id)
        + f"EVN|{kind.split('^')[1]}|{evn or time}-0500\r"
        + "".join(segments)
    )


def pv1(end="", service="MED"):
    return _PV1.format(end=f"|{end}" if end else "", service=service)


PID = _PID
IN1 = _IN1
DG1 = "DG1|1||E119^Type 2 diabetes mellitus without complications^I10C||20261102|F\r"
FT1 = (
    "FT1|1|T1||20261102||CG|G0463^Hospital outpatient clinic visit^HCPCS|||1|125.50&USD|125.50&USD|||||||E11.9^^I10C|"
    "1234567893^Okafor^Ada^^^^^^NPI^L^^^NPI|||||G0463^Hospital outpatient clinic visit^HCPCS|25\r"
    "FT1|2|T2||20261102||CG|J1885^Ketorolac^HCPCS|||2|9.00&USD|4.50&USD|||||||||||||J1885^Ketorolac^HCPCS\r"
)
TXA = "TXA|1|PR|TX|20261102083000-0500|1234567893^Okafor^Ada^^^^^^NPI^L^^^NPI|20261102083500-0500||||||D100||||note.txt|AU||AV\r"
OBX = "OBX|1|TX|11506-3^Progress note^LN||CC: knee pain.\\.br\\Seen with 2 \\T\\ 3.~Line two.||||||F\rOBX|2|TX|||Zoë is well.||||||F\r"
A04 = message("ADT^A04^ADT_A01", "M1", PID, pv1(), DG1, IN1)
DFT = message("DFT^P03^DFT_P03", "M2", PID, pv1(), FT1)
MDM = message("MDM^T02^MDM_T02", "M3", PID, pv1(), TXA, OBX)
A03 = message("ADT^A03^ADT_A03", "M4", PID, pv1(end="20261102090000-0500"), time="20261102090000")
