"""835 claim payment and advice, 005010X221A1: facts of its loops, segments and qualifiers.

PER*BL is situational here though the guide requires it: payers leave it out, and refusing money over a phone number helps nobody.
So it is with BPR16, the payment date: a fault there is a warning.
Notation: see claims.x12.guide. Spec: https://x12.org/products/technical-reports (005010X221A1)
"""

TEXT = """
loop HEADER R 1
  ST R 1 | 1=835 2!
  BPR R 1 | 1=C,D,H,I,P,U,X 2! 3=C,D 4=ACH,BOP,CHK,FWT,NON 16~
  TRN R 1 | 1=1 2! 3!
  CUR S 1 | 1=PR 2!
  REF S 1 | 1@EV 2!
  REF S 1 | 1@F2 2!
  DTM S 1 | 1=405 2!
  loop 1000A R 1
    N1 R 1 | 1@PR 2!
    N3 S 1 | 1!
    N4 S 1 | 1!
    REF S 4 | 1=2U,EO,HI,NF 2!
    PER S 1 | 1@CX
    PER S 99 | 1@BL
    PER S 1 | 1@IC
  loop 1000B R 1
    N1 R 1 | 1@PE 2! 3=FI,XV,XX 4!
    N3 S 1 | 1!
    N4 S 1 | 1!
    REF S 99 | 1=0B,D3,PQ,TJ 2!
    RDM S 1 | 1!
  loop 2000 S 999999
    LX R 1 | 1!
    TS3 S 1 | 1! 2! 3! 4! 5!
    TS2 S 1
    loop 2100 R 999999
      CLP R 1 | 1! 2=1,2,3,4,5,10,13,15,16,17,19,20,21,22,23,25,27 3! 4! 7!
      CAS S 99 | 1=CO,CR,OA,PI,PR 2! 3!
      NM1 R 1 | 1@QC 2=1
      NM1 S 1 | 1@IL 2! 8! 9!
      NM1 S 1 | 1@74 2!
      NM1 S 1 | 1@82 2! 8! 9!
      NM1 S 1 | 1@TT 2! 3! 8! 9!
      NM1 S 1 | 1@PR 2! 3! 8! 9!
      NM1 S 1 | 1@GB 2!
      MIA S 1 | 1!
      MOA S 1
      REF S 5 | 1@1L,1W,28,6P,9A,9C,BB,CE,EA,F8,G1,G3,IG,SY *5 | 2!
      REF S 10 | 1@0B,1A,1B,1C,1D,1G,1H,1J,D3,G2,LU *10 | 2!
      DTM S 2 | 1@036,050,232,233 *5 | 2!
      PER S 2 | 1=CX 3! 4!
      AMT S 13 | 1=AU,D8,DY,F5,I,NL,T,T2,ZK,ZL,ZM,ZN,ZO 2!
      QTY S 14 | 1! 2!
      loop 2110 S 999
        SVC R 1 | 1-1! 1-2! 2! 3!
        DTM S 2 | 1=150,151,472 2!
        CAS S 99 | 1=CO,CR,OA,PI,PR 2! 3!
        REF S 8 | 1@1S,APC,BB,E9,G1,G3,LU,RB *8 | 2!
        REF S 1 | 1@6R 2!
        REF S 10 | 1@0B,1A,1B,1C,1D,1G,1H,1J,D3,G2,HPI,SY,TJ *10 | 2!
        REF S 5 | 1@0K 2!
        AMT S 9 | 1=B6,KH,T,T2,ZK,ZL,ZM,ZN,ZO 2!
        QTY S 6 | 1! 2!
        LQ S 99 | 1=HE,RX 2!
  PLB S 999999 | 1! 2! 3-1! 4!
  SE R 1 | 1! 2!
"""
