# Who may see what, written a third time, in Polar: oso decides by it in the tests, never in the product.

allow(s: Someone, action: String, r: Thing) if
  granted(s.role, s, action, r) and not closed(s, action, r);

look(action: String) if action in ["read", "vread", "search", "history"];
put(action: String) if action in ["update", "patch"];
change(action: String) if action in ["update", "patch", "delete"];
bundle(action: String) if action in ["transaction", "batch"];
treating(role: String) if role in ["clinician", "psychiatric-clinician"];
coding(role: String) if role in ["coder", "behavioral-health-coder"];
inside(role: String) if role in ["integration-engine", "coding-engine", "claims-engine"];
own(s: Someone, r: Thing) if s.patient != "" and s.patient = r.patient;
mine(s: Someone, r: Thing) if s.user != "" and s.user = r.owner;
said_no(r: Thing) if "consentDenied" in r.facts;
said_no(r: Thing) if "restricted" in r.facts;
labelled(r: Thing) if not r.labels = [];

# What each role is for.
granted(role, _, action, r) if treating(role) and look(action) and r.group in ["directory", "demographics", "encounter", "clinical", "note", "money", "trace"];
granted(role, _, action, r) if treating(role) and (put(action) or action = "create") and r.group in ["encounter", "clinical", "note", "trace"];
granted(role, _, action, _) if treating(role) and bundle(action);
granted(role, s, "break-glass", r) if treating(role) and s.user != "" and r.type = "Patient";
granted(role, s, "relate", r) if treating(role) and r.type in ["Encounter", "EpisodeOfCare", "CareTeam"] and (s.user = "" or "treated" in r.facts);
granted(role, _, action, r) if coding(role) and look(action) and r.group in ["directory", "demographics", "encounter", "clinical", "note", "money", "trace", "work"];
granted(role, _, action, r) if coding(role) and put(action) and r.group = "work";
granted("coding-engine", _, action, r) if look(action) and r.group in ["directory", "demographics", "encounter", "clinical", "note", "money", "trace", "work"];
granted("coding-engine", _, action, r) if (put(action) or action = "create") and (r.group in ["work", "trace"] or r.type in ["Claim", "Condition"]);
granted("coding-engine", _, action, _) if bundle(action);
granted("coding-engine", _, "relate", r) if r.type = "Task";
granted("billing-administrator", _, action, r) if look(action) and (r.group in ["money", "directory", "demographics", "encounter"] or r.type = "DocumentReference");
granted("billing-administrator", s, action, r) if (look(action) or put(action)) and r.group = "work" and mine(s, r);
granted("payer", s, action, r) if look(action) and r.type in ["Claim", "ClaimResponse"] and s.user != "" and s.user = r.insurer;
granted("payer", s, "disclose", r) if s.user != "" and r.patient != "" and ((r.type = "Claim" and r.insurer = s.user) or r.type in ["Encounter", "ChargeItem"]);
granted("patient", _, action, r) if look(action) and r.group = "directory";
granted("patient", s, action, r) if look(action) and own(s, r) and r.group in ["demographics", "encounter", "clinical", "note", "money", "consent"];
granted("patient", s, action, r) if action in ["create", "update", "consent"] and own(s, r) and r.group = "consent";
granted("patient", s, "send-telemetry", r) if own(s, r) and r.type = "Observation";
granted("claims-engine", _, action, r) if look(action) and (r.group in ["directory", "demographics", "encounter", "money", "work", "trace"] or r.type in ["Condition", "DocumentReference"]);
granted("claims-engine", _, action, r) if (put(action) or action = "create") and r.group in ["money", "work", "trace"];
granted("claims-engine", _, action, _) if bundle(action);
granted("integration-engine", _, action, r) if (look(action) or put(action) or action = "create") and
  (r.group in ["directory", "demographics", "encounter", "clinical", "note", "trace"] or r.type in ["Account", "ChargeItem", "Coverage"]);
granted("integration-engine", _, action, _) if bundle(action) or action = "relate";
granted("risk-engine", _, action, r) if look(action) and (r.group in ["demographics", "encounter", "clinical"] or r.type = "Medication");
granted("risk-engine", _, action, r) if action in ["create", "update"] and (r.type = "RiskAssessment" or r.group = "trace");
granted("risk-engine", _, "assign-id", r) if r.type = "RiskAssessment";
granted("risk-engine", _, action, _) if bundle(action);
granted("omop-bridge", _, action, r) if look(action) and (r.group in ["directory", "demographics", "encounter", "clinical"] or r.type = "DocumentReference");
granted("subscription-engine", _, action, r) if look(action) and r.group = "subscription";
granted("operator", _, action, r) if (look(action) or change(action) or bundle(action) or action in ["create", "assign-id", "reindex"]) and r.group != "audit";
granted("operator", _, action, _) if action in ["dead-letters", "relate", "consent"];
granted(role, _, action, r) if role in ["operator", "system-operator"] and action in ["operations-read", "operate"] and r.type = "operations";
granted(role, _, action, r) if role in ["auditor", "privacy-officer"] and r.group = "audit" and (look(action) or action = "audit-read");
granted("privacy-officer", _, action, r) if r.group = "consent" and (look(action) or action in ["create", "update", "consent"]);
granted("privacy-engine", _, action, r) if action in ["read", "search"] and r.type in ["Patient", "Practitioner", "Encounter"];
granted(role, _, action, r) if look(action) and r.group = "terminology" and not (role in ["", "nobody"]);
granted(role, _, "omop-read", r) if role in ["researcher", "auditor", "privacy-officer"] and r.type = "omop";
granted(role, _, "omop-lineage", r) if role in ["auditor", "privacy-officer"] and r.type = "omop";

# What is closed whoever grants it.
closed(s, action, r) if (look(action) or change(action) or action = "create") and treating(s.role) and s.user != "" and not at_hand(s, action, r);
at_hand(_, _, r) if r.group in ["directory", "terminology"] or r.type = "Patient";
at_hand(_, _, r) if "treated" in r.facts or "brokenGlass" in r.facts;
at_hand(s, action, r) if look(action) and mine(s, r);
closed(s, action, r) if look(action) and coding(s.role) and s.user != "" and r.group = "note" and not "assigned" in r.facts;
closed(s, action, r) if look(action) and said_no(r) and not may_look(s, r);
may_look(_, r) if "brokenGlass" in r.facts;
may_look(s, r) if s.role = "patient" and own(s, r);
may_look(s, r) if treating(s.role) and r.type = "Patient";
may_look(s, r) if s.role = "privacy-officer" and r.group = "consent";
may_look(s, _) if inside(s.role);
closed(s, action, r) if change(action) and said_no(r) and not may_change(s, r);
may_change(s, r) if "brokenGlass" in r.facts or r.group = "consent" or inside(s.role) or s.role = "operator";
closed(s, action, r) if s.role = "payer" and (look(action) or action = "disclose") and (said_no(r) or "selfPaid" in r.facts);
closed(s, action, r) if s.role = "payer" and (look(action) or action = "disclose") and part_2(r) and not "consented" in r.facts;
part_2(r) if label in r.labels and label in ["ETH", "SUD", "ETHUD", "OPIOIDUD"];
closed(s, action, r) if (look(action) or change(action)) and labelled(r) and not trusted(s, r);
trusted(s, _) if s.role in ["psychiatric-clinician", "behavioral-health-coder", "coding-engine", "claims-engine", "integration-engine", "operator"];
trusted(s, r) if s.role = "patient" and own(s, r);
trusted(s, r) if s.role = "billing-administrator" and (r.group = "money" or r.type in ["Encounter", "Patient"]);
trusted(s, r) if s.role = "payer" and r.group = "money";
trusted(s, r) if treating(s.role) and "brokenGlass" in r.facts;
trusted(s, r) if treating(s.role) and "treated" in r.facts and not harsh(r);
harsh(r) if label in r.labels and not label in ["SEX", "STD"];
closed(s, action, r) if s.role = "operator" and look(action) and labelled(r);
closed(s, action, r) if (look(action) or change(action)) and "PSYTHPN" in r.labels and r.group != "money" and not (mine(s, r) or s.role in ["integration-engine", "operator"]);
