"""Results of orders, as literals."""

from tests.unit.ingest.messages import PID, pv1

MSH = "MSH|^~\\&|LIS|HILL|CHARTLOOP|HUB|{time}-0500||ORU^R01^ORU_R01|{id}|P|2.5.1||||||UNICODE UTF-8\r"
ORC = "ORC|RE|P77^EHR|F88^LIS\r"
LIPIDS = "57698-3^Lipid panel with direct LDL^LN"
CHOLESTEROL = "2093-3^Cholesterol [Mass/volume] in Serum or Plasma^LN"
HIV = "7917-8^HIV 1 Ab [Presence] in Serum^LN"
SYSTOLIC = "8480-6^Systolic blood pressure^LN"
DIASTOLIC = "8462-4^Diastolic blood pressure^LN"


def obr(*, filler="F88^LIS", placer="P77^EHR", code=LIPIDS, at="20261102080000-0500", issued="20261102100000-0500", section="CH", status="F", set_id=1):
    return f"OBR|{set_id}|{placer}|{filler}|{code}|||{at}|||||||||||||||{issued}||{section}|{status}\r"


def obx(code=CHOLESTEROL, value="212", *, kind="NM", unit="mg/dL^^UCUM", normal="", flag="", status="F", sub="", at="", set_id=1, rest=""):
    return f"OBX|{set_id}|{kind}|{code}|{sub}|{value}|{unit}|{normal}|{flag}|||{status}|||{at}{'|' + rest if rest else ''}\r"


def oru(*segments, control_id="R1", time="20261102101500", pid=PID, visit=True):
    return MSH.format(time=time, id=control_id) + pid + (pv1() if visit else "") + "".join(segments)


ORU = oru(ORC, obr(), obx(normal="0-200", flag="H"), "NTE|1||fasting\\.br\\two lines~third\r")
