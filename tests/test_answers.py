"""Which answers count and what they mean, case by case: the rules of docs/answer-checking.md."""

import pytest

from rewards import Checker

# answer in a box | gold: the same
SAME = r"""
0.5 | \frac12
\frac{1}{2} | 0.5
1,250 | 1250
1{,}250 | 1250
1\,250 | 1250
\$6 | 6
6 | \$6
90° | 90
90^\circ | 90
90 | 90^\circ
\text{42} | 42
1\frac{1}{2} | 3/2
1 1/2 | 1.5
-2\frac{3}{4} | -\frac{11}{4}
0.\overline{3} | \frac13
0.1\overline{6} | \frac16
0.333... | 1/3
1e6 | 1000000
6.02\times10^{23} | 602000000000000000000000
\binom{5}{2} | 10
{5 \choose 2} | 10
5! | 120
\frac{1}{2004!} | \frac1{2004!}
\sqrt{8} | 2\sqrt2
√8 | 2\sqrt{2}
\sqrt[3]{8} | 2
\log_2 8 | 3
\log_{10} 100 | 2
\ln e^2 | 2
\sin 30^\circ | 1/2
\cos(60^\circ) | 0.5
\sin^2 x + \cos^2 x | 1
\sin(2x) | 2\sin x\cos x
3+4i | 4i+3
(1+i)^2 | 2i
４２ | 42
（１，２） | (1,2)
\pm 2 | 2,-2
2,-2 | \pm 2
x = \pm 3 | 3, -3
1 \pm \sqrt{2} | 1+\sqrt2, 1-\sqrt2
3:4 | 6:8
3:4 | \frac{3}{4}
1:2:3 | 2:4:6
11111_2 | 31
11111_{2} | 11111_2
25% | 25\%
25 | 25\%
0.25 | 25\%
1/4 | 25\%
18\% | 0.18
(1, 2) | (1,2)
\{1,2,3\} | 3,2,1
3, 2, 1 | \{1,2,3\}
[1,2) | [1,2)
(1,2)\cup(3,4) | (3,4)\cup(1,2)
x>3 | (3,\infty)
(3,\infty) | x > 3
1<x\le5 | (1,5]
x \in (1,5] | 1<x\leq 5
x<-1 \text{ or } x>3 | (-\infty,-1)\cup(3,\infty)
-3 \le x \le 3 | [-3,3]
|x| < 3 | (-3,3)
x^2<4 | (-2,2)
2x>6 | x>3
x \ne 3 | (-\infty,3)\cup(3,\infty)
\mathbb{R}\setminus\{3\} | (-\infty,3)\cup(3,\infty)
x=5 | 5
5 | x=5
(x,y)=(1,2) | (1,2)
x=1, y=2 | (1,2)
y=2, x=1 | (x,y)=(1,2)
y=2x+3 | 2x - y + 3 = 0
2y=4x+6 | y=2x+3
2x+3 | y=2x+3
f(x)=x^2 | x^2
\begin{pmatrix}1&2\\3&4\end{pmatrix} | \begin{bmatrix} 1 & 2 \\ 3 & 4 \end{bmatrix}
\frac12\begin{pmatrix}2\\4\end{pmatrix} | \begin{pmatrix}1\\2\end{pmatrix}
C | (C)
\text{(C)} | C
(C) 15 | C
C. | \text{(C)}
\textbf{(B)} | B
\text{East} | east
Yes | yes
\emptyset | \{\}
\varnothing | \emptyset
\text{no solution} | \emptyset
(x+1)^2 | x^2+2x+1
\frac{x^2-1}{x-1} | x+1
x^{2}+y | y+x^2
\frac{\sqrt{3}}{3} | \frac{1}{\sqrt3}
5 \text{ cm} | 5
5\text{ cm}^2 | 5
5 cm | 5\text{ cm}
500\text{ cm} | 5\text{ m}
2\pi \text{ inches} | 2\pi
12 apples | 12
2^{10} | 1024
2^{1/2} | \sqrt{2}
\frac{\pi}{6} | 30^\circ
0.333333 | 1/3
1.41421 | \sqrt2
0.666667 | 2/3
0.666666 | 2/3
e^{i\pi} | -1
\dfrac{a}{b} | a/b
|x-3| | |3-x|
\lfloor 3.7 \rfloor | 3
2^{n+1} | 2 \cdot 2^n
x \geq 0 | [0,\infty)
\frac{-1}{2} | -\frac12
-\frac{1}{2} | \frac{1}{-2}
\text{A and B} | B and A
red, blue | blue, red
2+3=5 | 5
\text{Area} = 5 | 5
AB = 5 | 5
\angle ABC = 30^\circ | 30
m = 3 | 3
10\% | 10\%
1,2,3 | 3, 1, 2
100,200 | 100, 200
(100,200) | (100, 200)
3 \text{ or } 5 | 3,5
x=3 \text{ or } x=5 | 3,5
x=3, x=5 | 5,3
12{,}345{,}678 | 12345678
1 \frac{3}{4} | 7/4
\tfrac{1}{2} | .5
.5 | 0.5
\left(\frac{1}{2}, 3\right) | (0.5,3)
\frac{10!}{8!} | 90
\frac{\ln 8}{\ln 2} | 3
\sqrt{2+\sqrt3} | \frac{\sqrt6+\sqrt2}{2}
\tan 45^\circ | 1
\sqrt{-4} | 2i
\operatorname{lcm}(4,6) | 12
\frac{3}{4}\pi | \frac{3\pi}{4}
2\sqrt{3}\text{ units} | 2\sqrt{3}
5{:}4 | 5:4
30\text{ degrees} | 30
3\frac12 | 3.5
7^{\text{th}} | 7
x\in\{1,2\} | 1,2
\{x \mid x > 3\} | (3,\infty)
\{ x : -1 < x < 1 \} | (-1,1)
all real numbers | (-\infty,\infty)
\$1,000.00 | 1000
1.0 | 1
3.50 | 3.5
10^{-3} | 0.001
1.5 \times 10^{-3} | 0.0015
\frac{7}{8}\text{ of the pie} | 7/8
50 percent | 50\%
\cot^2 x | \csc^2 x - 1
n(n+1)/2 | \frac{n^2+n}{2}
\frac{n!}{(n-1)!} | n
\sum | \sum
3^{x} | 3^x
(a+b)(a-b) | a^2-b^2
x_1+x_2 | x_2+x_1
\alpha+\beta | \beta+\alpha
\langle 1,2\rangle | (1,2)
[[1,2],[3,4]] | \begin{pmatrix}1&2\\3&4\end{pmatrix}
\text{Monday} | monday
\mathrm{(A)} | A
ii | ii
4x^3 \text{ and } 2 | 2, 4x^3
"""
# answer in a box | gold: not the same
DIFFERENT = r"""
1+1/e | 1-1/e
0.33 | \frac13
18% | 18
1/2004! | 1/2006!
0 | 1/2004!
(1,2) | (2,1)
[1,2) | (1,2)
(1,2] | (1,2)
12345678901234567891 | 12345678901234567890
12345678.0 | 12345679
5, 6 | 5
5 \text{ or } 6 | 6
\pm 2 | 2
2 | \pm 2
x+1 | y+1
2X | 2x
x^2 | x^3
x>3 | [3,\infty)
x<3 | (3,\infty)
x>3 | y>3
11111 | 11111_2
11111_3 | 11111_2
3:4 | 4:3
y=2x+3 | y=2x+4
2x=10 | 10
x=5 | y=5
\begin{pmatrix}1&2\\3&4\end{pmatrix} | \begin{pmatrix}1&3\\2&4\end{pmatrix}
B | C
(B) | C
east | seat
east | West
\emptyset | 0
\{0\} | \emptyset
\sin x | \cos x
3.14 | \pi
1.41422 | \sqrt{2}
1.42 | \sqrt2
5 \text{ m} | 5 \text{ cm}
5\text{ kg} | 5\text{ m}
x=1, y=2 | (2,1)
(x+1)^2 | x^2+1
\frac{x^2-1}{x-1} | x-1
10^{100}+1 | 10^{100}
10^{300}+\sqrt{2} | 10^{300}+\sqrt3
e^{\pi\sqrt{163}} | 640320^3+744
\{1,2\} | \{1,2,3\}
1,2,2 | 1,2,3
1 < x < 5 | 1 \le x \le 5
\sqrt{x^2} | x
-5 | 5
2 3 | 23
3+4i | 3-4i
|x|<3 | (-3,3]
0.3333 | 1/3
3i | 3
5x | 5
5 x | 5
cat | act
25.5% | 25\%
2500% | 25\%
1/3 | 0.33
5\% | 5
x | X
0.5 | \frac{1}{3}
9007199254740993 | 9007199254740992
1,250 | 1.25
2^{10} | 20
\frac{1}{2} | 2
y-2x=3 | y=3x+2
(1,2,3) | (1,2)
1,2 | 1
\text{yes} | no
\infty | -\infty
17.5 | 18
"""
COMPLETIONS = [
    (r"<think>\boxed{1}</think> The answer is 2.", "2", 1),
    (r"\boxed{1} </think> blah \boxed{3}", "3", 1),
    (r"x=\boxed{2} and x=\boxed{3}", "2,3", 1),
    (r"The solutions are $\boxed{2}$ and $\boxed{3}$.", "3", 0),
    (r"The solutions are $\boxed{2}$, $\boxed{3}$ and $\boxed{5}$.", "2,3,5", 1),
    (r"First $\boxed{2}$. Then the final is $\boxed{3}$.", "3", 1),
    (r"\boxed 5", "5", 1),
    (r"\boxed{\boxed{5}}", "5", 1),
    (r"\fbox{5}", "5", 1),
    (r"\boxed{5} then \boxed{}", "5", 0),
    (r"\boxed{\text{(B)}}", "B", 1),
    (r"#### 1,234", "1234", 1),
    ("#### \\$18.00", "18", 1),
    ("#### 18\n#### 20", "20", 1),
    ("####18", "18", 1),
    ("#### **18**", "18", 1),
    ("The final answer is: **42**", "42", 1),
    ("**Answer: 42**", "42", 1),
    ("Answer: $42$", "42", 1),
    ("Final Answer: The final answer is $42$. I hope it is correct.", "42", 1),
    ("The answer is 42", "42", 1),
    ("the answer is $\\frac{1}{2}$.", "0.5", 1),
    ("The answer is 3.5.", "7/2", 1),
    ("The answer is 5. No wait, the answer is 6.", "6", 1),
    ("The answer is 5. No wait, the answer is 6.", "5", 0),
    ("So the answer is 5 or 6", "5", 0),
    ("So the answer is 5 or 6", "6", 0),
    ("So the answer is $5$ or $6$.", "5,6", 1),
    ("So the answer is either 5 or 6.", "6", 0),
    ("The answer is 12 apples.", "12", 1),
    ("The answer is that she has 12 apples left.", "12", 1),
    ("The answer is $18 per day.", "18", 1),
    ("The answer is $1,800.", "1800", 1),
    ("答案是42。", "42", 1),
    ("答案：42", "42", 1),
    ("最终答案为 $\\frac{3}{4}$。", "3/4", 1),
    ("答案是４２", "42", 1),
    ("答案是 A。", "A", 1),
    ("Answer: B", "B", 1),
    ("The answer is (C).", "C", 1),
    ("The correct answer is (C) 15.", "C", 1),
    ("The correct answer is option C", "C", 1),
    ("The answer is: x = 5", "5", 1),
    ("The answer is $x=5$ and $y=6$.", "(5,6)", 1),
    ("She has 3 + 4 = 7 apples", "7", 1),
    ("so 7", "7", 1),
    ("It's $\\frac{1}{2}$", "1/2", 1),
    ("5 or 6", "6", 0),
    ("maybe 5, maybe 6", "6", 1),
    ("The total is 10.\n\nTherefore, the total cost is $10.00.", "10", 1),
    ("I get \\(x = 7\\).", "7", 1),
    ("\\[ x = 7 \\]", "7", 1),
    ("The result: \\[\\frac{7}{2}\\]", "3.5", 1),
    ("no number here", "5", 0),
    ("", "5", 0),
    ("The answer is 42 because 6*7=42.", "42", 1),
    ("The answer is 42, since 6*7=42", "42", 1),
    ("Answer: 42 (since 6*7)", "42", 1),
    ("Answer:\n\n42", "42", 1),
    ("**Final Answer**\n\n42", "42", 1),
    ("Final answer\n42", "42", 1),
    ("### Final Answer\n\\boxed{42}", "42", 1),
    ("**Final Answer**: \\(42\\)", "42", 1),
    ("The answer is -5.", "-5", 1),
    ("answer: -5", "-5", 1),
    ("temperature is -5", "-5", 1),
    ("The answer is 5 cm^2", "5", 1),
    ("The answer is 50%", "50\\%", 1),
    ("The answer is 50%.", "0.5", 1),
    ("the answer is 10:30", "10:30", 1),
    ("The answer is yes.", "Yes", 1),
    ("The answer is Monday", "Monday", 1),
    ("Answer: \\text{Monday}", "monday", 1),
    ("The answer is x^2+1", "x^2+1", 1),
    ("The answer is (2, 3)", "(2,3)", 1),
    ("The answer is 2, 3", "2,3", 1),
    ("The answer is 1,234,567.", "1234567", 1),
    ("The answer is 1/2", "0.5", 1),
    ("so we get 3/4", "0.75", 1),
    ("we have 1 1/2", "1.5", 0),
    ("The answer to the question is 8", "8", 1),
    ("The answer to 3+5 is 8.", "8", 1),
    ("My answer: 9 dollars and 50 cents", "9", 0),
    ("So the answers are 3 and 4.", "3,4", 1),
    ("Therefore the answer would be 12.", "12", 1),
    ("the answer should be $12$", "12", 1),
    ("answer = 12", "12", 1),
    ("The answer is $2\\sqrt{3}$ cm.", "2\\sqrt{3}", 1),
    ("The answer is approximately 3.14", "3.14", 1),
    ("The answer is about 7", "7", 1),
    ("The answer is $7$.\n\nLet me check: 3+4=7. Good.", "7", 1),
    ("The answer is 7. Check: 3 + 4 = 8?", "7", 1),
    ("The answer is seven", "7", 0),
    ("\\boxed{42", "42", 0),
    ("The answer is \\boxed{5} dollars, or equivalently \\boxed{500} cents.", "5", 0),
    ("\\boxed{5}, \\boxed{5}", "5", 1),
    ("$\\boxed{A}$", "A", 1),
    ("\\boxed{A, B}", "A,B", 1),
    ("\\boxed{A and B}", "B, A", 1),
    ("\\boxed{x = 5 \\text{ or } x = -5}", "\\pm 5", 1),
    ("\\boxed{f(x)=2x+1}", "2x+1", 1),
    ("\\boxed{\\dfrac{1}{2}\\text{ hour}}", "0.5", 1),
    ("\\boxed{12\\,\\text{cm}}", "12", 1),
    ("\\boxed{12~\\mathrm{cm}^2}", "12", 1),
    ("\\boxed{\\$12.50}", "12.5", 1),
    ("\\boxed{12.50\\text{ dollars}}", "12.5", 1),
    ("\\boxed{60 \\text{ mph}}", "60", 1),
    ("\\boxed{60\\text{ miles per hour}}", "60", 1),
    ("\\boxed{3\\text{ hours}}", "3", 1),
    ("\\boxed{3 hours and 20 minutes}", "3", 0),
    ("\\boxed{10:30\\text{ a.m.}}", "10:30", 1),
    ("\\boxed{0.5} \\text{ or } \\boxed{\\frac12}", "1/2", 1),
    ("\\boxed{\\frac{1}{2}} = \\boxed{0.5}", "0.5", 1),
]


@pytest.fixture(scope="module")
def checker():
    with Checker() as one:
        yield one


def lines(table):
    return [tuple(line.split(" | ")) for line in table.strip().splitlines()]


@pytest.mark.parametrize(("answer", "gold"), lines(SAME))
def test_the_same_value_in_another_form(checker, answer, gold):
    verdict = checker.check(rf"so \boxed{{{answer}}}", gold)
    assert verdict.reward == 1, verdict


@pytest.mark.parametrize(("answer", "gold"), lines(DIFFERENT))
def test_another_value(checker, answer, gold):
    verdict = checker.check(rf"so \boxed{{{answer}}}", gold)
    assert verdict.reward == 0, verdict


@pytest.mark.parametrize(("completion", "gold", "reward"), COMPLETIONS)
def test_which_answer_counts(checker, completion, gold, reward):
    verdict = checker.check(completion, gold)
    assert verdict.reward == reward, verdict
