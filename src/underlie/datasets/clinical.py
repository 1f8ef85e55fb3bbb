"""Clinical tables with event times, from lifelines; they need no download.

In every table ``time`` is the follow-up and ``event`` is 1 if the event was seen, 0 if the time is censored.
"""

from __future__ import annotations

import pandas as pd


def load_gbsg2() -> pd.DataFrame:
    """Node-positive breast cancer: 686 women of the German Breast Cancer Study Group 2 trial.

    Returns
    -------
    pandas.DataFrame of 686 rows
        ============ =========================================================================
        horTh        hormonal therapy: no, yes
        age          years
        menostat     menopausal status: Pre, Post
        tsize        tumour size, mm
        tgrade       tumour grade: I < II < III
        pnodes       number of positive lymph nodes
        progrec      progesterone receptor, fmol
        estrec       oestrogen receptor, fmol
        time         recurrence-free survival, days
        event        1 recurrence or death, 0 censored
        ============ =========================================================================

    References
    ----------
    M. Schumacher et al. (1994). Randomized 2 x 2 trial evaluating hormonal treatment and the duration of chemotherapy
    in node-positive breast cancer patients. Journal of Clinical Oncology 12, 2086-2093.

    Examples
    --------
    >>> X = load_gbsg2()
    >>> X.shape, X["tgrade"].cat.categories.tolist(), int(X["event"].sum())
    ((686, 10), ['I', 'II', 'III'], 299)
    """
    from lifelines.datasets import load_gbsg2 as load

    table = load().rename(columns={"cens": "event"})
    table["horTh"] = pd.Categorical(table["horTh"], ["no", "yes"])
    table["menostat"] = pd.Categorical(table["menostat"], ["Pre", "Post"])
    table["tgrade"] = pd.Categorical(table["tgrade"], ["I", "II", "III"], ordered=True)
    return table


def load_rossi() -> pd.DataFrame:
    """Recidivism: 432 men released from prison, half of them given financial aid at random, followed for a year.

    Returns
    -------
    pandas.DataFrame of 432 rows
        ============ =========================================================================
        fin          financial aid: 0 no, 1 yes (randomised)
        age          years at release
        race         1 black, 0 other
        wexp         full-time work before prison: 0 no, 1 yes
        mar          married at release: 0 no, 1 yes
        paro         released on parole: 0 no, 1 yes
        prio         number of earlier convictions
        time         weeks to the first arrest; 52 is the end of the study
        event        1 arrested, 0 censored
        ============ =========================================================================

    References
    ----------
    P. H. Rossi, R. A. Berk, K. J. Lenihan (1980). Money, Work, and Crime: Some Experimental Results. Academic Press.

    Examples
    --------
    >>> X = load_rossi()
    >>> X.shape, int(X["event"].sum())
    ((432, 9), 114)
    """
    from lifelines.datasets import load_rossi as load

    table = load().rename(columns={"week": "time", "arrest": "event"})
    return _outcome_last(table)


def load_lung() -> pd.DataFrame:
    """Advanced lung cancer: 228 patients of the North Central Cancer Treatment Group; some cells are missing.

    Returns
    -------
    pandas.DataFrame of 228 rows
        ============ =========================================================================
        inst         institution (18 codes)
        age          years
        sex          male, female
        ph.ecog      ECOG score by the physician: 0 (well) < 1 < 2 < 3 (in bed most of the day)
        ph.karno     Karnofsky score by the physician, 0 (bad) to 100 (good)
        pat.karno    Karnofsky score by the patient
        meal.cal     calories eaten at meals
        wt.loss      weight lost in the last six months, pounds
        time         survival, days
        event        1 dead, 0 censored
        ============ =========================================================================

    References
    ----------
    C. L. Loprinzi et al. (1994). Prospective evaluation of prognostic variables from patient-completed questionnaires.
    Journal of Clinical Oncology 12, 601-607.

    Examples
    --------
    >>> X = load_lung()
    >>> X.shape, int(X.isna().sum().sum()), int(X["event"].sum())
    ((228, 10), 67, 165)
    """
    from lifelines.datasets import load_lung as load

    table = load().rename(columns={"status": "event"})
    table["inst"] = table["inst"].astype("Int64").astype("category")
    table["sex"] = pd.Categorical(table["sex"].map({1: "male", 2: "female"}), ["male", "female"])
    table["ph.ecog"] = pd.Categorical(table["ph.ecog"].astype("Int64"), [0, 1, 2, 3], ordered=True)
    return _outcome_last(table)


def load_larynx() -> pd.DataFrame:
    """Cancer of the larynx: 90 men.

    Returns
    -------
    pandas.DataFrame of 90 rows
        ============ =========================================================================
        age          years at diagnosis
        stage        I < II < III < IV
        time         survival, years
        event        1 dead, 0 censored
        ============ =========================================================================

    References
    ----------
    O. Kardaun (1983). Statistical survival analysis of male larynx-cancer patients: a case study. Statistica
    Neerlandica 37, 103-125.

    Examples
    --------
    >>> load_larynx()["stage"].value_counts(sort=False).to_dict()
    {'I': 33, 'II': 17, 'III': 27, 'IV': 13}
    """
    from lifelines.datasets import load_larynx as load

    table = load().rename(columns={"death": "event"})
    code = table["Stage_II"] + 2 * table["Stage_III"] + 3 * table["Stage_IV"]
    table["stage"] = pd.Categorical.from_codes(code, ["I", "II", "III", "IV"], ordered=True)
    return table[["age", "stage", "time", "event"]]


def load_kidney_transplant() -> pd.DataFrame:
    """Kidney transplants: 863 patients of the Ohio State University transplant centre.

    Returns
    -------
    pandas.DataFrame of 863 rows
        ============ =========================================================================
        age          years at transplantation
        sex          male, female
        race         white, black
        time         survival, days
        event        1 dead, 0 censored
        ============ =========================================================================

    References
    ----------
    J. P. Klein, M. L. Moeschberger (1997). Survival Analysis. Springer. Section 1.7.

    Examples
    --------
    >>> load_kidney_transplant().groupby(["sex", "race"], observed=True).size().to_dict()
    {('male', 'white'): 432, ('male', 'black'): 92, ('female', 'white'): 280, ('female', 'black'): 59}
    """
    from lifelines.datasets import load_kidney_transplant as load

    table = load().rename(columns={"death": "event"})
    male = table["white_male"] + table["black_male"]
    black = table["black_male"] + table["black_female"]
    table["sex"] = pd.Categorical.from_codes(1 - male, ["male", "female"])
    table["race"] = pd.Categorical.from_codes(black, ["white", "black"])
    return table[["age", "sex", "race", "time", "event"]]


def load_leukemia() -> pd.DataFrame:
    """Acute leukaemia in remission: 42 patients given 6-mercaptopurine or placebo.

    Returns
    -------
    pandas.DataFrame of 42 rows
        ============ =========================================================================
        sex          female, male
        logWBC       log of the white blood cell count
        treatment    6-MP, placebo
        time         remission, weeks
        event        1 relapse, 0 censored
        ============ =========================================================================

    References
    ----------
    E. J. Freireich et al. (1963). The effect of 6-mercaptopurine on the duration of steroid-induced remissions in acute
    leukemia. Blood 21, 699-716.

    Examples
    --------
    >>> load_leukemia().groupby("treatment", observed=True)["event"].sum().to_dict()
    {'6-MP': 9, 'placebo': 21}
    """
    from lifelines.datasets import load_leukemia as load

    table = load().rename(columns={"t": "time", "status": "event"})
    table["sex"] = pd.Categorical.from_codes(table["sex"], ["female", "male"])
    table["treatment"] = pd.Categorical.from_codes(table["Rx"], ["6-MP", "placebo"])
    return table[["sex", "logWBC", "treatment", "time", "event"]]


def _outcome_last(table: pd.DataFrame) -> pd.DataFrame:
    return table[[c for c in table.columns if c not in ("time", "event")] + ["time", "event"]]
