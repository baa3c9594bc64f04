"""The shapes in annotations, `Float[Tensor, B_T]`: each letter stands for one size.

| letter | what it counts |
|---|---|
| P | prompts of a step |
| N | completions a prompt |
| B | completions, P · N or a part of them |
| T | tokens of a completion; Tp: of a prompt |
| V | vocabulary |
| K | tokens inside the mask; in attention, keys |
| L | packed tokens |
| S | sequences, or (`ANY_S`) any shape |
| Hk, C, W, D | heads of keys, chunk, window, width of a head |
| d, m, n | widths of layers |
"""

B = "B"
B_1 = "B 1"
B_K = "B K"
B_T = "B T"
B_V = "B V"
B_d = "B d"
B_1_T_S = "B 1 T S"
B_Hk_C_D = "B Hk C D"
B_Hk_W_D = "B Hk W D"
K = "K"
K_d = "K d"
L = "L"
L_d = "L d"
ANY_L_V = "*L V"
ANY_L_d = "*L d"
P = "P"
P_N = "P N"
P_Tp = "P Tp"
P_Hk_Tp_D = "P Hk Tp D"
P_N_Hk_C_D = "P N Hk C D"
P2 = "P2"
P2_N2 = "P2 N2"
PN = "PN"
PN_d = "PN d"
ANY_S = "*S"
S_T = "S T"
S_m_n = "S m n"
V = "V"
V_d = "V d"
SCALAR = ""
