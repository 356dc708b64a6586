"""What docs/results.md says around its tables."""

HEAD = """# Results

Every table is made by a script in [`experiments/`](../experiments/README.md) and rendered from its JSON file; what was
not run is not here. All networks but those called exact are made of what CKKS can evaluate. ± is the sample standard
deviation over seeds or folds.
"""

ADRENAL_TEST = """## AdrenalMNIST3D: the official test part

{volumes} volumes, {masses} of them masses; {count} seeds ({seeds}). The recipe is that of
`examples/adrenal/train.toml`, chosen by cross-validation inside the training part; every network was evaluated once, by
`experiments/adrenal_test.py`, after all choices were made. Seed 10 is the shipped model, whose test figure was known
before; and the recipe goes back to trials in which the test part was visible, so read the level as slightly optimistic.
All methods share encoder, augmentation, steps and the labels softened by three exact teachers; sensitivity and
specificity are those at the operating point that validation (22 masses) chose for sensitivity {wanted}.

{table}

HE-CLSTM by seed: {ours}. "Over seeds" is Student's paired test: it tells whether the
difference would survive other seeds on these volumes. "Over volumes" draws the volumes again (bootstrap, 2,000 times):
it tells whether it would survive other patients.

{reading}

A volume is no time series: where all slices can be looked at together, order matters little, and simpler networks that
see all of them do as well. What the temporal part is for shows the synthetic set below.

Ranges were calibrated on training and validation volumes. Of the {of} test volumes {outside} leave them (one number
for each seed), by a factor of {factor} at most. Largest pre-activation {preactivation}, largest cell state {cell}."""

ENCRYPTED_ADRENAL = """## AdrenalMNIST3D: the shipped model, encrypted

All {volumes} test volumes went through the compiled program as ciphertexts (N = 2^15, 128 bits), with the model in
`examples/adrenal`. Encrypted and clear decisions agree for {agree} of {volumes}; their AUCs differ by {auc_difference}.

{table}

Error of an encrypted score: {worst} at worst, {rms} root mean square (the simulator predicts {simulated}). Median
seconds a volume, on two cores that were shared with other work: {encrypt} to encrypt, {evaluate} to evaluate, {decrypt}
to decrypt."""

ACETOWHITENING = """## Acetowhitening (synthetic)

Drawings after a formula, made to test temporal models: {train:,} sequences for training, {validation} for validation,
{test:,} for test, {frames} frames of {size}×{size}; {seeds} training seeds, no distillation. They say what a method can
see in principle, and nothing about patients. "A CNN of its own for each frame" has a network for each place, so that it
knows where a frame stands; its mean is the strongest reader that looks at every frame alone. How much a single frame
can tell (here AUC {single_frame_auc}) is a setting of the generator.

{table}

{reading}

Ranges, calibrated on training and validation part: of {of} fresh sequences {outside} leave them (one number for each
seed); the largest value is {factor} of its limit, the largest pre-activation {preactivation}, the largest cell state
{cell}. Compiled, HE-CLSTM takes {levels} levels and {keys} MB of keys at N = 2^15. Frames stacked as channels do as
well here with five levels (two blocks and a dense layer): where the number of frames is fixed and small, try that
first.{difficulties}"""

DIFFICULTIES = """

The setting was chosen among these, so that even the strongest reader of single frames stays below 0.8 and no sequence
leaves the ranges:

"""

ACETOWHITENING_ABLATIONS = """## Ablations on a harder acetowhitening (synthetic)

The same with the whiteness of each frame blurred (noise {noise}), so that no method is perfect; {seeds} seeds.
"Outside": how many of 10,000 fresh sequences leave the ranges that training and validation part had shown. A score
of such a sequence means little, and only a larger calibration set or more room in the limits would admit it. "refused":
a model whose values overflow on its own calibration data is not calibrated, and so not served.

{table}

Gates of degree 2 and 3 that see the state train since their polynomials stand still beyond ±4 in training, and are as
good on the test part. They are not safe: on some fresh sequences the state still runs away, which the client then
refuses. Who needs a bound takes the diagonal cell."""

ANNOCERV = """## AnnoCerv: a real set, and no claim

{cases} colposcopy cases, {positives} of them with a Swede score of 5 or more, which is our cut. There is no
histology, no time of a picture, and several pictures of a case may be framings rather than time points; colours alone
carry no signal. {folds} folds by patient over the training and validation part ({patients} persons; the test part of
our manifest stays out), {seeds} training seeds; the AUC is that of each fold, weighted by pairs. DeLong's interval
for the first seed of HE-CLSTM: {interval}. With frames reversed, its AUC is {reversed:.3f} over all seeds instead of
{straight:.3f}, and {shuffled:.3f} with frames in a random order.

{table}

What this shows is that pictures of a hospital go through: any size, one to six of them, masked where there are fewer.
It says nothing about diagnosing with HE-CLSTM or any of the others.

Training overfits here, so new patients are where values blow up. Of {of} held-out cases (all seeds), {refused} have a
score outside of the limit that `calibrate` gives on their other folds: the largest is {score:.2f} of its limit{lost}.
In {outside} some value inside of the network leaves its range, by a factor of {factor} at most;
under encryption nobody sees those. Largest pre-activation {preactivation}, largest cell state {cell}."""

VISUAL_FIELDS = """## Visual fields{kind}: order that matters

{series} series of ten visits of {persons} persons: eyes that get worse, and the same eyes stable. Both were derived
from real series by the publisher, with simulated noise, so this shows what can be told of slow change in such noise,
and nothing about a clinic. {folds} folds by person, counted by series; the AUC is that of each fold, weighted by pairs.
Reversed and shuffled are held-out series with their visits turned round, and in a random order.

{table}

{seeds}
Other methods are trained by the same recipe, which was not tuned for them, and with one seed.

{chosen}

Of {of} held-out series (all seeds and folds), {outside} have a value outside of the bound that holds for every input
in [0, 1]. Bounds of the score are {bound_low:.0f} to {bound_high:.0f}, the largest score is {largest:.1f}; {over}
scores leave the limit that the other folds calibrated.{encrypted}"""

VISUAL_FIELDS_CHOSEN = {
    "reliable": """\
The recipe was chosen inside training folds: differences, cell and augmentation by trials with other networks, the
learning rate of this one by four folds inside the training part of fold 1. A recipe with a quarter of that learning
rate had been scored on the held-out folds of the first table before (two seeds: 0.850, 0.847), so read the level as
slightly optimistic. Limits of models with a bound were widened after a first look, in which two right scores of fold 5
had been refused.""",
    "unreliable": """\
The recipe is that of the reliable series, as it is. Trials with other networks inside the training folds of these
changed nothing in it, and their held-out folds were scored once. Persons are the same in both sets.""",
}

ENCRYPTED_FOLDS = """

{which} of the first seed went through the compiled programs as ciphertexts (ring degree {ring},
128 bits, {keys:.0f} MB of keys): {agree} of {of} decisions are those in clear, {refused} results were refused, the AUC
of no fold differs by more than {difference:.4f}, and no score by more than {worst:.1e}."""

BREAKHIS = """## BreaKHis at 200×

{sequences} sequences of four fields, 64×64, of {patients} patients ({positives} malignant). These are 48 slides of 44
of the set's 82 patients, at one of four magnifications, pictures that were squeezed from 700×460 and halved: figures of
the whole set cannot be compared with these. {folds} folds by patient; every network of a fold is trained on all
patients of the other four by the recipe of `examples/breakhis/train.toml`, which was not tuned for the other methods.
The sequences of a patient count once, by their mean, or each by itself. AUC of each fold, weighted by pairs; DeLong's
intervals are of the first seed, and those of sequences take no account of patients. Differences are over the folds of
the first seed (Student's paired test).

{table}

HE-CLSTM by seed, by patient / by sequence: {each}. Three seeds (0, 1
and 2) as one program, `ensemble = 3`, with 2.5 times the work of one, and in brackets all threes of the seeds, by
sequence, mean and span: {ensembles}.

Of the regression on histograms, a weaker and a stronger penalty had 0.917 and 0.956 by sequence, and the same by
patient. Ten patients are benign, two in each test fold: the order of one pair of patients is 0.015 of the AUC by
patient.

Other methods have one seed. Earlier trials with some (one seed, other folds), by patient / by sequence: per-frame
mean 0.986 / 0.984, mean-pooled 0.986 / 0.975, exact twin 0.971 / 0.964. Where the order of frames means nothing, a
recurrence can at best become a mean.{mean}{jitter}{more}{orders}{lost}
{ablations}
Choices that were tried inside training folds: two folds left out, networks of the other three; several runs are
several seeds. One choice was made for all folds, by the mean over all pairs, so that the labels of each had a part in
it, though no network that was scored had seen them. What the other four alone would have chosen for a held-out fold is
in the last column: with so few patients it changes from fold to fold.

{choices}

Runs of one choice lie up to 0.007 apart, so the choices with stain jitter are not told apart. The shipped model is from
before, and its recipe is as it was. Of that, the first seed had been scored on these folds before, a tenth of the
training patients held back for validation: 0.985 / 0.973. Bytes of keys below are of the compiler of each run: the
first programs, and those of the ablations, of one that made 14 MB of a shape for which that of stain jitter makes
11.{encrypted}"""

BREAKHIS_MEAN = """ The mean cell is one. It was fixed before it was trained, and its seeds were
scored once, by sequence: {seeds}. Its program has a level more, 20 MB of keys instead of 14, and 1.23 times the work
(estimated)."""

BREAKHIS_JITTER = """ Stain jitter was chosen inside the training folds (below, once for all folds), before its
seeds were scored, by sequence: {seeds}. One seed of it had been scored on these folds before it was chosen."""

BREAKHIS_MORE = """ Jitter of 0.1 was tried later and was best there, by little; so its seeds were scored,
once, by sequence: {seeds}. 0.985 by sequence was the aim: the mean of these {count}
is {mean:.4f}, with a deviation of {sd:.4f}; all that were trained are counted. The first three, 0.987 on average, were
scored before the others were trained, and it is the fourth recipe whose scores on these folds were seen. Three seeds of
it as one program were best inside the training folds, by less than a thousandth, and are no better here (above). Where
one slide of a fold decides a hundredth, the next step is more slides: the whole set has 82 patients, 44 are here."""

BREAKHIS_LOST = """

Held-out sequences that stand on the wrong side of a tenth or more of those of the other outcome in their fold, by the
mean score of the {count} networks with stain jitter 0.1:

{lost}

No slide has more of them than {slide}, {worst} of these {of}. Without its sequences, left out after they were seen, the
mean over seeds would be {without:.4f}. Networks with jitter of 0.05 had their limit in another fold (2), of a mucinous
carcinoma."""

BREAKHIS_ORDERS = """ Held-out fields reversed, and shuffled, first seed, by sequence: {orders}."""

ENCRYPTED_OTHER = """ Likewise {title}, {folds} fold: {agree} of {of} decisions, {levels} levels,
{keys:.0f} MB of keys, no score off by more than {worst:.1e}."""

BOUNDS = """## Bounds that hold for every input

What the compiler writes on the card of a program whose cell has a bound, against held-out sequences and against a
search for the worst input there is: projected gradient ascent on all pixels in [0, 1] from {starts} starts ({steps}
steps each, half of them near held-out sequences), for score and state, upwards and downwards. Trained networks of the
first seed:

{table}

None passes its bound; the search comes to {closest:.2f} of one at most. A bound is no promise of small numbers: it
says how far adversarial pixels could drive a score, and pictures of patients stay far below."""

BREAKHIS_ABLATIONS = """
HE-CLSTM on other pictures, first seed, and what its program costs (estimated):

{table}

Stains are those of Macenko 2009 by MONAI, each field normalised by itself. In many of these small, faint fields the
method takes one stain for the other, so this says what a wrong normalisation costs, and that colour is a large part of
what is seen here, as the regression on histograms shows. Stains changed in training are `[augmentation] stain`.
"""

ADRENAL_ABLATIONS = """## Ablations on AdrenalMNIST3D

{folds}-fold cross-validation inside the training part (1,188 volumes, 259 masses): fold k trains with seed 10·k on four
fifths, with teachers that saw the same four fifths. The spread is over folds, which differ more than variants do, hence
the paired column. Neither validation nor test part was used. Teachers are those of the shipped variant, 28×28 pixels a
slice, in all rows. "Largest": over all held-out volumes.

{table}

{reading}"""

ADRENAL_COSTS = """## What accuracy costs

AUC of the cross-validation above; costs of the compiled program at 128-bit security. Seconds are predicted from
measured primitives, with {threads} threads, timed beside other work: compare rows, and see performance.md for a quiet
machine. Mind the spread: points closer than 0.01 in AUC were not told apart.

{table}

![Accuracy over levels, keys and seconds](pareto.png)"""

ENVELOPES = """## Images that are unlike those of training

The envelope that `calibrate` fits and `encrypt` checks in clear: {folds} folds of the training part, bounds from four
of them, the fifth as it is (false alarms) and changed (caught). AdrenalMNIST3D and the drawings of docs/your-data.md.

{adrenal}

{colposcopy}

What stays close to the data in all statistics passes: axes exchanged, a mirrored or reversed sequence. Real
cervigrams are outside for the model of drawings, as they should be."""

ADRENAL_ROBUSTNESS = """## Robustness

Noise of each layer: Gaussian, its standard deviation the given part of the layer's largest value, added to what every
layer hands on. AdrenalMNIST3D, held-out fifths of the training part, {folds} fold models, {repeats} draws each;
decisions at an operating point of sensitivity 0.95 on the same scores.

{noise}

Unusual volumes, against ranges calibrated on the other four fifths. "Seen" are those whose score or contributions leave
their ranges too, which is all that a hospital can see after decryption; the others it can only catch by checking its
images in clear, before encryption.

{inputs}"""

BOUNDED_GATES = """## Gates that a bound keeps in [0, 1]

The contracting cell beside the diagonal cell of the same recipe, inside the training part of fold 1
(`experiments/bounded_gates.py`). The box of the features, for all pixels in [0, 1], is carried through the encoder in
every step, and what enters a gate is divided by the most that it can be. So a gate stays in [0, 1], and the state is a
contraction for any weights and any picture, its recurrence included. How far a gate moves, as a share of [0, 1]:
between the 2.5th and the 97.5th of 100 held-out frames, of all units; of the seed in which it moves most.

{table}

Its gates are constants in all but name: no picture of a patient comes near the pixels that the bound has to hold for.
On the visual fields it is no better than the diagonal cell, which has constants at one level for all frames; one
fold of BreaKHis says nothing either way. So that cell comes first, and
this one is there where a recurrence has to follow its state and be bounded for every picture."""

ORDERS = """## Other orders of held-out frames

The frames of held-out sequences backwards, and each sequence in another random order, always the same. Nothing was
chosen by it. AdrenalMNIST3D: slabs of the 298 test volumes, for the shipped model. Visual fields, AnnoCerv and BreaKHis
have theirs above.

{table}"""

PENALTIES = """## Stronger range penalties

`mean_weight` 0.1 and `max_weight` 0.003 of `[ranges]`, and ten times as much; {seeds} seeds. Real sets: four
folds inside the training part of fold 1, each scored by networks of the other three; AUC by fold. Acetowhitening
(synthetic): validation part, and 2,000 fresh sequences. Each new sequence is held against the limit of the score that
`calibrate` gives on what the network was trained with.

{table}

No loss of AUC is seen: the cases of AnnoCerv have no signal there either way, the cell of the visual fields is bounded
already. With quadratic gates the largest score falls and none of the new sequences is refused. So ten times is the
default of `[ranges]`. It is little evidence, of one or two seeds; models, training files and results of before keep
theirs."""

FIELDS_ABLATIONS = """## What pays on visual fields

The recipe of `examples/visual_fields` with one thing changed: four folds inside the training part of fold 1 of the
reliable series (264 series), each scored by networks of the other three. Held-out folds were not used.

{table}

Differences pay most, and of them the trend: those to the first visit or to the one before are worth less than half of
it on average. Points that are kept pay next, each by itself rather than with those around it. How many units there are
does not matter; noise, series turned round, and a beginning with generated courses make no difference that two seeds
could show, and offsets do not pay here: the recipe, chosen before, has them. The learning rate is that of the diagonal
cell, at which the LSTM diverges in three of four runs."""
