"""999 implementation acknowledgment (005010X231A1) and 277CA claim acknowledgment (005010X214): facts.

Notation: see claims.x12.guide. Spec: https://x12.org/products/technical-reports (005010X231A1, 005010X214)
"""

IMPLEMENTATION_ACKNOWLEDGMENT = """
loop HEADER R 1
  ST R 1 | 1=999 2!
  AK1 R 1 | 1! 2!
  loop 2000 S 999999
    AK2 R 1 | 1! 2!
    loop 2100 S 999999
      IK3 R 1 | 1! 2! 4=1,2,3,4,5,6,7,8,I4,I6,I7,I8,I9
      CTX S 10
      loop 2110 S 999999
        IK4 R 1 | 1! 3=1,2,3,4,5,6,7,8,9,10,12,13,I6,I9,I10,I11,I12,I13
        CTX S 10
    IK5 R 1 | 1=A,E,M,R,W,X
  AK9 R 1 | 1=A,E,M,P,R,W,X 2! 3! 4!
  SE R 1 | 1! 2!
"""

CLAIM_ACKNOWLEDGMENT = """
loop HEADER R 1
  ST R 1 | 1=277 2!
  BHT R 1 | 1=0085 2=08 3! 4! 5! 6?=TH
  loop 2000A R 1
    HL R 1 | 3@20 1! 4?=1
    loop 2100A R 1
      NM1 R 1 | 1=AY,PR 2=2 3! 8=46,FI,PI,XV 9!
    loop 2200A R 1
      TRN R 1 | 1=1 2!
      DTP R 1 | 1@050 2=D8 3!
      DTP R 1 | 1@009 2=D8 3!
    loop 2000B R 1
      HL R 1 | 3@21 1! 2! 4?=0,1
      loop 2100B R 1
        NM1 R 1 | 1=41 2=1,2 3! 8=46 9!
      loop 2200B R 1
        TRN R 1 | 1=2 2!
        STC R 999 | 1-1! 1-2! 2! 3=U,WQ
        QTY S 1 | 1@90 2!
        QTY S 1 | 1@AA 2!
        AMT S 1 | 1@YU 2!
        AMT S 1 | 1@YY 2!
      loop 2000C S 99999
        HL R 1 | 3@19 1! 2! 4?=0,1
        loop 2100C R 1
          NM1 R 1 | 1=85 2=1,2
        loop 2200C S 1
          TRN R 1 | 1=1,2 2!
          STC S 999 | 1-1! 1-2! 3=U,WQ
          REF S 3 | 1=0B,1G,G2,LU,SY,TJ,EI 2!
          QTY S 1 | 1@QA 2!
          QTY S 1 | 1@QC 2!
          AMT S 1 | 1@YU 2!
          AMT S 1 | 1@YY 2!
        loop 2000D S 99999
          HL R 1 | 3@PT 1! 2! 4?=0
          loop 2100D R 1
            NM1 R 1 | 1=QC 2=1 3!
          loop 2200D R 99999
            TRN R 1 | 1=2 2!
            STC R 999 | 1-1! 1-2! 2! 3=U,WQ
            REF S 1 | 1@1K 2!
            REF S 1 | 1@D9 2!
            REF S 1 | 1@BLT 2!
            DTP S 1 | 1@434,472 *2 | 2=D8,RD8 3!
            loop 2220D S 99999
              SVC R 1 | 1-1! 1-2! 2!
              STC R 999 | 1-1! 1-2! 2! 3=U,WQ
              REF S 1 | 1@FJ 2!
              REF S 1 | 1@XZ 2!
              DTP S 1 | 1@472 2=D8,RD8 3!
  SE R 1 | 1! 2!
"""
