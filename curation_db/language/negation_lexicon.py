"""Closed word lists for cue detection and chunking: words that negate, and words that end a noun phrase.

Lower-case English only. A word is listed if captions of photographs use it in this sense. Words with un- are listed
because most of them negate nothing visible (unique, unusual, unhappy). Of the words with -less the exceptions are
listed (`LESS_WITHOUT_NEGATION`), because the suffix is productive. Words of implicit negation are left out on purpose
(empty, bald, hardly, instead of).
"""

from __future__ import annotations

from typing import Final


def _listed(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


AUXILIARIES_BEFORE_NT: Final = _listed(
    "is are was were do does did has have had ca wo could would should must need might ai sha dare"
)
"""Auxiliaries before n't. The list is closed because "n ' t" also occurs by chance in tokenised text."""

BARE_CONTRACTIONS: Final = _listed(
    "isnt arent wasnt werent dont doesnt didnt hasnt havent hadnt cant wont couldnt wouldnt shouldnt aint"
)
"""Contractions typed without an apostrophe."""

CONTRACTIONS: Final = frozenset(f"{auxiliary}nt" for auxiliary in AUXILIARIES_BEFORE_NT) | {*BARE_CONTRACTIONS}
"""Contractions without blanks and apostrophes."""

FORMS_OF_HAVE: Final = _words("has have had having")

UN_STEMS: Final = _listed(
    "altered armed assembled attached attended baked bitten boxed braided buckled built burned buttoned"
    " caged clothed colored coloured combed cooked covered crowded curtained cut decorated developed done"
    " dressed eaten edited employed equipped fastened fenced filled finished folded framed frosted frozen"
    " furnished glazed groomed guarded harvested heated inhabited inflated iced ironed labeled labelled"
    " laced leashed leavened lit loaded locked manned marked masked matched mounted moved occupied"
    " opened packaged packed painted paved peeled picked plugged polished prepared ripe ripened roasted"
    " rolled saddled salted sauced sealed seasoned seated seen shaded shaved shaven sheathed shelled shorn"
    " sliced smiling snapped sold stacked strapped supervised swept tethered tied toasted topped touched"
    " trimmed tucked used washed watched watered wearable worn wrapped zipped"
    " accompanied adorned belted blemished bound branded brushed capped carpeted collared cropped cultivated"
    " draped dyed enclosed escorted fitted gloved helmeted hooded illuminated kempt landscaped lined made mowed mown"
    " obstructed padded peopled pierced planted plowed populated pruned rinsed roofed scented shielded shod signed"
    " sorted spoiled stained staffed sweetened tanned tattooed tended trained treated upholstered varnished veiled"
    " wooded"
)
"""Words that un- negates: "untied" means "not tied"."""

LESS_WITHOUT_NEGATION: Final = _words(
    "aimless ageless artless baseless bless blameless boundless breathless careless ceaseless classless clueless"
    " contactless countless dauntless defenseless defenceless doubtless effortless endless faultless fearless feckless"
    " flawless formless fruitless godless graceless groundless guiltless hapless harmless heartless heedless helpless"
    " homeless hopeless humorless jobless joyless lawless lifeless limitless listless loveless matchless meaningless"
    " merciless mindless nameless needless nevertheless nonetheless numberless odorless painless peerless penniless"
    " pitiless pointless powerless priceless purposeless reckless regardless relentless remorseless restless ruthless"
    " scoreless seamless selfless senseless serverless shameless shapeless shiftless sleepless soulless speechless"
    " spineless spotless stainless stemless stressless tactless tasteless thankless thoughtless timeless tireless"
    " toneless unless useless valueless voiceless weightless wireless witless wordless worthless"
)
"""Words with -less that negate nothing visible, or only name a kind ("a stemless wine glass")."""

UN_BY_WITHOUT_NEGATION: Final = _words(
    "unaffected unamused unbothered unconcerned undaunted undeterred undisturbed unfazed unimpressed unmoved"
    " unperturbed unscathed unshaken unsurprised unswayed untroubled unworried united unified unveiled unfolded"
    " unearthed unloaded unlocked unrolled unpacked unleashed undertaken underlined undermined understood unwrapped"
)
"""un-...ed by X where X is present nevertheless, or where un- reverses an action."""

NON_WITHOUT_NEGATION: Final = _words(
    "dairy essential fat fiction flammable fungible gmo porous profit profits refundable sense skid slip standard stick"
    " stop toxic traditional"
)
"""non-X that names a kind of object and negates nothing in the image."""

PLURALS: Final = _words("people men women children sheep deer fish geese teeth feet mice cattle police traffic")
AFTER_ZERO: Final = _words(
    "gravity emission emissions waste turn hour hours degree degrees tolerance calorie calories sugar point points"
    " percent zeros zeroes"
)
"""Nouns after "zero" that name a kind or a number."""

FREE_WITHOUT_NEGATION: Final = _listed("hands toll royalty duty tax rent scot care fat interest risk")
"""X-free that names a kind of object and negates nothing in the image."""

DETERMINERS: Final = _words(
    "a an the any some his her its their my your our this that these those whose each every all both"
    " another such either much many more one it's who's single"
)
VACUOUS: Final = _words("visible other extra additional actual obvious apparent discernible noticeable particular sort")
"""Adjectives of presence, which are not part of the concept: "no visible lights" negates lights."""
PARTITIVES: Final = _words("sign signs trace evidence hint presence sort sorts kind kinds type types form piece sight")
"""Before "of", these are not the head noun: "no sign of a dog" negates a dog."""

PREPOSITIONS: Final = _words(
    "in on at of with without by for from to into onto off over under below beneath underneath above"
    " behind beside besides between among amidst amid across along around near against inside outside"
    " within through throughout toward towards during before after about atop upon via next past except"
    " like than up down out beyond opposite alongside"
)
BEFORE_NOUN: Final = _words("with of in on at near beside")
"""After these, a word with -ing that precedes a noun modifies that noun: "with running water"."""
PARTICLES: Final = _words("on off up down out in away over")
CONJUNCTIONS: Final = _words(
    "and or nor but while as because when where that who whom which whose since so if though although"
    " whereas yet until unless plus even"
)
AUXILIARIES: Final = _words(
    "is are was were be been being am do does did has have had can could will would shall should may"
    " might must isn't aren't wasn't weren't doesn't don't didn't hasn't haven't can't cannot won't 's"
)
FORMS_OF_BE: Final = _words("is are was were")
BEFORE_BASE_VERBS: Final = _words(
    "do does did dose can could will would shall should may might must to don't doesn't didn't ca wo sha need dare"
)
"""A word without an ending after one of these is a verb."""
PRONOUNS: Final = _words("i you he she it we they them him himself herself itself themselves us me there here")
PEOPLE: Final = _words("anyone anybody someone somebody everyone person")
"""Pronouns whose target is "person" when they are negated."""
EMPTY_PRONOUNS: Final = _words("anything something everything it them him her any that this these those each")
NEVER_HEADS: Final = PREPOSITIONS | CONJUNCTIONS | AUXILIARIES | PRONOUNS

FINITE_VERBS: Final = _words(
    "watches sits stands rides walks runs holds wears carries looks lies lays rests hangs eats drinks plays flies"
    " swims jumps sleeps touches faces covers surrounds sit stand ride walk run hold wear carry lie rest"
    " eat drink play fly swim jump sleep follow follows appear appears exist exists seem seems remain"
    " remains straggles helps grabs pepper peppers reads says makes takes drives passes stays waits drive"
    " pass stay wait goes go comes come"
)
"""Verbs without -ing or -ed that end a noun phrase."""
AFTER_NOUN: Final = _words(
    "visible present available around nearby left inside outside anywhere alone allowed else whatsoever"
    " apparent together there here yet today currently in-sight close aboard ahead overhead attached"
    " involved at-all open still"
)
"""Words that follow a noun phrase and are not part of it."""
IRREGULAR_PARTICIPLES: Final = _words(
    "shown seen worn drawn written hung left made built taken eaten held cut lit sat ridden broken thrown"
    " caught worn set put kept found driven hidden spread beeen been open parked known grown blown bitten"
)
ED_NOUNS: Final = _words("bed seed shed weed reed sled steed feed red moped biped infrared unwed need speed breed")
ING_NOUNS: Final = _words(
    "building buildings ceiling railing clothing string strings ring rings wing wings king icing frosting"
    " topping toppings lighting painting paintings parking thing things evening morning awning siding"
    " writing lettering marking markings seating swing sling spring pudding wedding dressing stuffing"
    " bedding earring earrings flooring filling wiring landing crossing clearing offspring duckling"
    " stocking stockings drawing drawings covering carving railings pricing lining trimming fencing"
    " sibling rigging scaffolding setting awnings decking"
)
"""Nouns with -ing; every other word with -ing is taken for a participle."""

ADJECTIVES: Final = _words(
    "red blue green yellow black white brown gray grey orange purple pink tan beige gold silver golden dark light"
    " bright wooden metal metallic plastic glass leather paper cardboard brick stone clean dirty wet dry new old young"
    " big small large little tall short long round square striped spotted checkered plaid colorful colourful empty"
    " full hot cold fresh ripe raw sweet fried grilled open closed broken modern wild tame furry fluffy shiny thick"
    " thin english chinese japanese french german italian spanish american african asian european indian mexican"
)
"""Adjectives that "and" and "or" join within one noun phrase: "a black and white cat"."""
MEASURES: Final = _words(
    "pair pairs piece pieces slice slices bowl bowls cup cups bunch bunches group groups set sets stack stacks pile"
    " piles row rows herd herds flock flocks glass glasses bottle bottles plate plates basket baskets box boxes loaf"
    " crowd lot lots couple body bodies line lines bag bags patch patches kind kinds type types"
)
"""Measure nouns: in "a pair of shoes" the head noun follows "of"."""

KIND_NOUNS: Final = _words("kind kinds sort sorts type types")
"""Nouns that do not narrow the concept: "no dog of any kind" negates a dog."""

POSSESSION_VERBS: Final = _words(
    "have has having had contain contains containing contained include includes including feature"
    " features featuring possess possesses possessing show shows showing display displays displaying bear"
    " leave leaving"
)
"""Verbs whose object is the target: "not having X" negates X."""
WEARING_VERBS: Final = _words("wear wears wearing wore sport sporting don")
HOLDING_VERBS: Final = _words("hold holds holding carry carries carrying grip gripping grasp grasping")
TAKE_PARTICIPLES: Final = _words(
    "go going like enjoying enjoy start starting stop keep keeping seem by for from of at about"
)
"""A participle after one of these is part of the same verb phrase; any other participle has another subject."""
PARTICLE_PARTICIPLES: Final = _words("turned switched plugged lit")
"""Participles that form a complete verb phrase with a particle: "not turned on"."""
PRESENCE: Final = _words(
    "visible present seen shown there included pictured depicted found available displayed spotted showing noticeable"
)
"""Predicates of presence: in "X is not visible" the target is X."""
VERBS_OF_PRESENCE: Final = _words("exist appear show")
"""Verbs of presence: in "X does not exist" the target is X."""
PLACES_OF_PRESENCE: Final = _words("sight view frame picture photo photograph image shot scene foreground background")
DEGREES: Final = _words(
    "fully entirely completely wholly totally clearly perfectly mostly all so very too that quite as"
)
"""Degree adverbs: "not *fully* visible" negates the degree, not the presence."""
ADVERBS: Final = _words(
    "yet even also ever really just still actually currently quite very so too much all necessarily"
    " always again now to able directly fully"
)

COMPOUNDS: Final = frozenset(
    tuple(pair.split("_"))
    for pair in _listed(
        "teddy_bear traffic_light traffic_lights fire_hydrant stop_sign parking_meter tennis_racket"
        " tennis_racquet tennis_ball baseball_bat baseball_glove baseball_cap wine_glass wine_glasses"
        " hot_dog hot_dogs dining_table potted_plant cell_phone hair_drier hair_dryer toilet_paper"
        " toilet_seat sports_ball remote_control street_sign street_light street_lights life_jacket"
        " life_jackets life_vest ski_lift ski_poles ski_pole stuffed_animal stuffed_animals license_plate"
        " ice_cream bow_tie cowboy_hat oven_mitt dish_soap coffee_cup coffee_table microwave_oven tank_lid"
        " throw_pillow throw_pillows wrist_watch party_hat head_light power_lines swimming_pool"
        " shower_curtain soap_dispenser cutting_board computer_mouse picnic_table trash_can garbage_can"
        " seat_belt french_fries christmas_tree"
        " dining_room dining_chair dining_car swimming_goggles swimming_trunks swimming_cap swimming_suit"
        " washing_machine advertising_poster advertising_sign advertising_board hiking_boots hiking_stick"
        " hiking_poles hiking_gear riding_boots riding_helmet riding_gear running_shoes walking_stick"
        " climbing_gear climbing_rope fishing_rod fishing_pole fishing_net fishing_boat fishing_line"
        " boxing_gloves serving_dish serving_tray serving_spoon serving_utensils baking_sheet baking_pan"
        " baking_tray baking_dish mixing_bowl frying_pan rolling_pin measuring_cup whipping_cream"
        " shaving_cream sewing_machine living_room shopping_bag shopping_cart shopping_basket sleeping_bag"
        " rocking_chair folding_chair folding_table changing_table reading_glasses reading_lamp wrapping_paper"
        " running_water skating_rink sailing_boat rowing_boat"
    )
)
"""Compounds of two words; both are the target."""

SIGN_NOUNS: Final = _listed(
    "sign signs signal symbol symbols sticker stickers poster notice placard banner label zone area"
)
SIGN_VERBS: Final = _listed(
    "say says saying said read reads reading state states stating display displays displaying spell spells spelling"
)
FORBIDDEN: Final = _listed(
    "parking smoking trespassing swimming standing stopping diving fishing littering dumping entry exit"
    " outlet loitering passing walking skateboarding skating cycling biking running"
)
"""Activities that signs forbid: "no parking" on a sign negates nothing in the image."""

HINTS: Final = (
    _listed(
        "no non none noone nobody nothing nowhere nor not cannot never neither without w lack lacks lacked"
        " lacking absent absence missing minus devoid void bereft empty clear free out t sans zero exclude excludes"
        " excluded excluding omits omitted omitting"
        " except excepting bare barren deprived stripped fail fails failed failing"
    )
    + BARE_CONTRACTIONS
)
"""Every cue contains one of these ("t" of "isn't", "out" of "with out"), a listed un- word, "un... by" or "-less"."""
