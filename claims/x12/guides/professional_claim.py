"""837P professional claim, 005010X222A1 (X222A2 accepted): facts of its loops, segments and qualifiers.

Notation: see claims.x12.guide. Spec: https://x12.org/products/technical-reports (005010X222A1)
"""

_MORE_DIAGNOSES = " 9-1?=ABF,BF 10-1?=ABF,BF 11-1?=ABF,BF 12-1?=ABF,BF"
CLAIM = """
  CLM R 1 | 1! 1<20 2! 5! 5-1! 5-2=B 5-3! 6=Y,N 7=A,B,C 8=N,W,Y 9=I,Y 10?=P 11-1?=AA,EM,OA 11-2?=AA,EM,OA 12?=02,03,05,09 20?=1,2,3,4,5,6,7,8,9,10,11,15
  DTP S 1 | 1@431,454,304,453,439,484,455,471,314,360,361,297,296,435,096,090,091,444,050 *20 | 2=D8,TM,DT,RD8 3!
  PWK S 10 | 1! 2!
  CN1 S 1 | 1=02,03,04,05,06,09
  AMT S 1 | 1@F5 2!
  REF S 1 | 1@4N,F5,EW,9F,G1,F8,X4,9A,9C,LX,D9,EA,P4,1J,9B *20 | 2!
  K3 S 10 | 1!
  NTE S 1 | 1=ADD,CER,DCP,DGN,TPO 2!
  CR1 S 1 | 3! 4! 5! 6!
  CR2 S 1 | 8!
  CRC S 3 | 1@07 2! 3!
  CRC S 3 | 1@E1,E2,E3 2! 3!
  CRC S 1 | 1@75 2! 3!
  CRC S 1 | 1@ZZ 2! 3!
  HI R 1 | 1-1@ABK,BK 1-2! 2-1?=ABF,BF 3-1?=ABF,BF 4-1?=ABF,BF 5-1?=ABF,BF 6-1?=ABF,BF 7-1?=ABF,BF 8-1?=ABF,BF{more}
  HI S 1 | 1-1@BP 1-2! 2-1?=BO
  HI S 2 | 1-1@BG 1-2!
  HCP S 1 | 1! 2!
  loop 2310A S 2
    NM1 R 1 | 1@DN,P3 2! 3!
    REF S 3 | 1@0B,1G,G2 2!
  loop 2310B S 1
    NM1 R 1 | 1@82 2=1,2 3!
    PRV S 1 | 1=PE 2=PXC 3!
    REF S 4 | 1@0B,1G,G2,LU 2!
  loop 2310C S 1
    NM1 R 1 | 1@77 2! 3!
    N3 R 1 | 1!
    N4 R 1 | 1!
    REF S 3 | 1@0B,G2,LU 2!
    PER S 1 | 1=IC 3=TE 4!
  loop 2310D S 1
    NM1 R 1 | 1@DQ 2! 3!
    REF S 4 | 1@0B,1G,G2,LU 2!
  loop 2310E S 1
    NM1 R 1 | 1@PW 2!
    N3 R 1 | 1!
    N4 R 1 | 1!
  loop 2310F S 1
    NM1 R 1 | 1@45 2!
    N3 R 1 | 1!
    N4 R 1 | 1!
  loop 2320 S 10
    SBR R 1 | 1=A,B,C,D,E,F,G,H,P,S,T,U 2! 9?=11,12,13,14,15,16,17,AM,BL,CH,CI,DS,FI,HM,LM,MA,MB,MC,OF,TV,VA,WC,ZZ
    CAS S 5 | 1=CO,CR,OA,PI,PR 2! 3!
    AMT S 1 | 1@D 2!
    AMT S 1 | 1@A8 2!
    AMT S 1 | 1@EAF 2!
    OI R 1 | 3=N,W,Y 6=I,Y
    MOA S 1
    loop 2330A R 1
      NM1 R 1 | 1@IL 2! 3! 8=II,MI 9!
      N3 S 1 | 1!
      N4 S 1 | 1!
      REF S 1 | 1@SY 2!
    loop 2330B R 1
      NM1 R 1 | 1@PR 2=2 3! 8=PI,XV 9!
      N3 S 1 | 1!
      N4 S 1 | 1!
      DTP S 1 | 1=573 2=D8 3!
      REF S 1 | 1@2U,EI,FY,NF,G1,9F,T4,F8 *10 | 2!
    loop 2330C S 2
      NM1 R 1 | 1@DN,P3 2!
      REF R 3 | 1! 2!
    loop 2330D S 1
      NM1 R 1 | 1@82 2!
      REF R 3 | 1! 2!
    loop 2330E S 1
      NM1 R 1 | 1@77 2!
      REF R 3 | 1! 2!
    loop 2330F S 1
      NM1 R 1 | 1@DQ 2!
      REF R 3 | 1! 2!
    loop 2330G S 1
      NM1 R 1 | 1@85 2!
      REF R 2 | 1! 2!
  loop 2400 R 50
    LX R 1 | 1!
    SV1 R 1 | 1-1=ER,HC,IV,WK 1-2! 2! 3=MJ,UN 4! 9?=Y 11?=Y 12?=Y 15?=0
    SV5 S 1 | 1-1=HC 1-2! 2=DA 3!
    PWK S 11 | 1! 2!
    CR1 S 1 | 3! 4! 5! 6!
    CR3 S 1 | 1! 2! 3!
    CRC S 3 | 1@07 2! 3!
    CRC S 1 | 1@70 2! 3!
    CRC S 2 | 1@09,11 2! 3!
    DTP R 1 | 1@472 2=D8,RD8 3!
    DTP S 2 | 1@471,607,463,461,304,738,739,011,455,454 *20 | 2! 3!
    QTY S 1 | 1@PT 2!
    QTY S 1 | 1@FL 2!
    MEA S 5 | 1! 2! 3!
    CN1 S 1 | 1!
    REF S 5 | 1@9B,9D,G1,6R,EW,X4,F4,BT,9F *20 | 2!
    AMT S 1 | 1@T 2!
    AMT S 1 | 1@F4 2!
    K3 S 10 | 1!
    NTE S 1 | 1@ADD,DCP 2!
    NTE S 1 | 1@TPO 2!
    PS1 S 1 | 1! 2!
    HCP S 1 | 1! 2!
    loop 2410 S 1
      LIN R 1 | 2=EN,EO,HI,N4,ON,UK,UP 3!
      CTP R 1 | 4! 5-1=F2,GR,ME,ML,UN
      REF S 1 | 1=VY,XZ 2!
    loop 2420A S 1
      NM1 R 1 | 1@82 2! 3!
      PRV S 1 | 1=PE 2=PXC 3!
      REF S 20 | 1! 2!
    loop 2420B S 1
      NM1 R 1 | 1@QB 2!
      REF S 20 | 1! 2!
    loop 2420C S 1
      NM1 R 1 | 1@77 2! 3!
      N3 R 1 | 1!
      N4 R 1 | 1!
      REF S 3 | 1! 2!
    loop 2420D S 1
      NM1 R 1 | 1@DQ 2! 3!
      REF S 20 | 1! 2!
    loop 2420E S 1
      NM1 R 1 | 1@DK 2! 3!
      N3 S 1 | 1!
      N4 S 1 | 1!
      REF S 20 | 1! 2!
      PER S 1 | 1=IC 3! 4!
    loop 2420F S 2
      NM1 R 1 | 1@DN,P3 2! 3!
      REF S 20 | 1! 2!
    loop 2420G S 1
      NM1 R 1 | 1@PW 2!
      N3 R 1 | 1!
      N4 R 1 | 1!
    loop 2420H S 1
      NM1 R 1 | 1@45 2!
      N3 R 1 | 1!
      N4 R 1 | 1!
    loop 2430 S 15
      SVD R 1 | 1! 2! 3-1! 3-2! 5!
      CAS S 5 | 1=CO,CR,OA,PI,PR 2! 3!
      DTP R 1 | 1=573 2=D8 3!
      AMT S 1 | 1@EAF 2!
    loop 2440 S 99999
      LQ R 1 | 1=AS,UT 2!
      FRM R 99 | 1!
""".replace("{more}", _MORE_DIAGNOSES)

GUIDE = """
loop HEADER R 1
  ST R 1 | 1=837 2!
  BHT R 1 | 1=0019 2=00,18 3! 4! 5! 6=31,CH,RP
  loop 1000A R 1
    NM1 R 1 | 1@41 2=1,2 3! 8=46 9!
    PER R 2 | 1=IC 3=EM,FX,TE 4!
  loop 1000B R 1
    NM1 R 1 | 1@40 2=2 3! 8=46 9!
  loop 2000A R 99999
    HL R 1 | 3@20 1! 4=1
    PRV S 1 | 1=BI 2=PXC 3!
    CUR S 1 | 1=85 2!
    loop 2010AA R 1
      NM1 R 1 | 1@85 2=1,2 3!
      N3 R 1 | 1!
      N4 R 1 | 1!
      REF R 1 | 1@EI,SY 2!
      REF S 2 | 1@0B,1G 2!
      REF S 8 | 1@G2,LU 2!
      PER S 2 | 1=IC 3=EM,FX,TE 4!
    loop 2010AB S 1
      NM1 R 1 | 1@87 2!
      N3 R 1 | 1!
      N4 R 1 | 1!
    loop 2010AC S 1
      NM1 R 1 | 1@PE 2=2 3! 8=PI,XV 9!
      N3 R 1 | 1!
      N4 R 1 | 1!
      REF S 1 | 1@2U,FY,NF 2!
      REF R 1 | 1@EI 2!
    loop 2000B R 99999
      HL R 1 | 3@22 1! 2! 4=0,1
      SBR R 1 | 1=A,B,C,D,E,F,G,H,P,S,T,U 2?=18 5?=12,13,14,15,16,41,42,43,47 9?=11,12,13,14,15,16,17,AM,BL,CH,CI,DS,FI,HM,LM,MA,MB,MC,OF,TV,VA,WC,ZZ
      PAT S 1 | 5?=D8 7?=01 9?=Y
      loop 2010BA R 1
        NM1 R 1 | 1@IL 2=1,2 3! 8?=II,MI
        N3 S 1 | 1!
        N4 S 1 | 1!
        DMG S 1 | 1=D8 2! 3=F,M,U
        REF S 1 | 1@SY 2!
        REF S 1 | 1@Y4 2!
        PER S 1 | 1=IC 3=TE 4!
      loop 2010BB R 1
        NM1 R 1 | 1@PR 2=2 3! 8=PI,XV 9!
        N3 S 1 | 1!
        N4 S 1 | 1!
        REF S 3 | 1@2U,EI,FY,NF 2!
        REF S 2 | 1@G2,LU 2!
      loop 2300 S 100
%(claim_b)s
      loop 2000C S 99999
        HL R 1 | 3@23 1! 2! 4=0
        PAT R 1 | 1! 5?=D8 7?=01 9?=Y
        loop 2010CA R 1
          NM1 R 1 | 1@QC 2=1 3!
          N3 R 1 | 1!
          N4 R 1 | 1!
          DMG R 1 | 1=D8 2! 3=F,M,U
          REF S 1 | 1@Y4 2!
          REF S 1 | 1@1W,SY 2!
          PER S 1 | 1=IC 3=TE 4!
        loop 2300 S 100
%(claim_c)s
  SE R 1 | 1! 2!
"""


def _indented(text: str, by: int) -> str:
    return "\n".join(" " * by + line for line in text.strip("\n").splitlines())


TEXT = GUIDE % {"claim_b": _indented(CLAIM, 6), "claim_c": _indented(CLAIM, 8)}
